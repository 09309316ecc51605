"""The folds of the pending trials, scored by a fixed number of threads, the most urgent first."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Self

from kallos.scoring.job import FoldJob, FoldScore

ScoreFold = Callable[[FoldJob], FoldScore]
# A wrapper that reads and stores the scores of such a function.
Through = Callable[[ScoreFold], ScoreFold]


def directly(score_fold: ScoreFold) -> ScoreFold:
    """Return `score_fold` itself, so that nothing is stored."""
    return score_fold


@dataclass
class _OpenTrial:
    jobs: Sequence[FoldJob]
    scores: list["Future[FoldScore]"]
    turn: int = 0
    waits: bool = False

    def next_unbegun(self) -> int | None:
        """Position of the first fold that no thread has taken."""
        unbegun = (position for position, score in enumerate(self.scores) if not score.running() and not score.done())
        return next(unbegun, None)


class FoldQueue:
    """Scores folds in threads, each in a copy of the caller's context, as Prefect's tasks need it.

    A thread takes the fold that a trial waits for, the lowest trial first. It runs ahead to a trial's later fold only
    if all pending trials wait for folds that are being scored and no trial can be added: then it costs nothing, even if
    the trial is pruned earlier. If there may be fewer workers than threads, `has_room` says whether one is idle, and
    threads run ahead only then. Leaving the context waits for running folds.
    """

    def __init__(self, score_fold: ScoreFold, threads: int, has_room: Callable[[], bool] = lambda: True) -> None:
        self._score_fold = score_fold
        self._has_room = has_room
        self._changed = threading.Condition()
        self._trials: dict[int, _OpenTrial] = {}
        self._closed = False
        self._threads = [
            threading.Thread(target=copy_context().run, args=(self._work,), name=f"fold-{number}", daemon=True)
            for number in range(threads)
        ]

    def open(self, trial: int, jobs: Sequence[FoldJob]) -> None:
        """Add a trial's folds, in the order in which it asks for them."""
        with self._changed:
            self._trials[trial] = _OpenTrial(jobs, [Future() for _ in jobs])

    def score(self, trial: int) -> FoldScore:
        """Wait for the trial's next score; raises the errors of scoring it."""
        with self._changed:
            mine = self._trials[trial]
            mine.waits = True
            self._changed.notify_all()
        try:
            return mine.scores[mine.turn].result()
        finally:
            with self._changed:
                mine.turn += 1
                mine.waits = False

    def close(self, trial: int) -> int:
        """Drop a trial with the folds that no thread has taken; return how many were taken but not asked for."""
        with self._changed:
            closed = self._trials.pop(trial)
            self._changed.notify_all()
            return sum(score.running() or score.done() for score in closed.scores[closed.turn :])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            for trial in self._trials.values():
                for score in trial.scores:
                    score.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, score = taken
            try:
                score.set_result(self._score_fold(job))
            except BaseException as error:
                score.set_exception(error)

    def _take(self) -> tuple[FoldJob, "Future[FoldScore]"] | None:
        with self._changed:
            while not self._closed:
                chosen = self._most_urgent()
                if chosen is not None:
                    trial, position = chosen
                    trial.scores[position].set_running_or_notify_cancel()
                    return trial.jobs[position], trial.scores[position]
                self._changed.wait()
        return None

    def _most_urgent(self) -> tuple[_OpenTrial, int] | None:
        unbegun = [
            (position - trial.turn, number, position)
            for number, trial in self._trials.items()
            if (position := trial.next_unbegun()) is not None and trial.waits
        ]
        if not unbegun:
            return None
        ahead, number, position = min(unbegun)
        all_run = all(trial.waits and trial.scores[trial.turn].running() for trial in self._trials.values())
        if ahead and not (all_run and self._has_room()):
            return None
        return self._trials[number], position
