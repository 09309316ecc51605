"""The folds of the pending trials, evaluated by a fixed number of threads, the most urgent first."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Self

from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult

EvaluateFold = Callable[[FoldJob], FoldResult]
# A wrapper that reads and stores the results of such a function.
Through = Callable[[EvaluateFold], EvaluateFold]


def directly(evaluate: EvaluateFold) -> EvaluateFold:
    """Return `evaluate` itself, so that nothing is stored."""
    return evaluate


@dataclass
class _OpenTrial:
    jobs: Sequence[FoldJob]
    results: list["Future[FoldResult]"]
    turn: int = 0
    waits: bool = False

    def next_unbegun(self) -> int | None:
        """Position of the first fold that no thread has taken."""
        unbegun = (position for position, result in enumerate(self.results) if not (result.running() or result.done()))
        return next(unbegun, None)


class FoldQueue:
    """Evaluates folds in threads, each in a copy of the caller's context, as Prefect's tasks need it.

    A thread takes the fold that a trial waits for, the lowest trial first. It runs ahead to a trial's later fold only
    if all pending trials wait for folds that are being evaluated and no trial can be added: then it costs nothing, even
    if the trial is pruned earlier. If there may be fewer workers than threads, `has_room` says whether one is idle, and
    threads run ahead only then. Leaving the context waits for running folds.
    """

    def __init__(self, evaluate: EvaluateFold, threads: int, has_room: Callable[[], bool] = lambda: True) -> None:
        self._evaluate = evaluate
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

    def result(self, trial: int) -> FoldResult:
        """Wait for the trial's next result; raises the errors of evaluating it."""
        with self._changed:
            mine = self._trials[trial]
            mine.waits = True
            self._changed.notify_all()
        try:
            return mine.results[mine.turn].result()
        finally:
            with self._changed:
                mine.turn += 1
                mine.waits = False

    def close(self, trial: int) -> int:
        """Drop a trial with the folds that no thread has taken; return how many were taken but not asked for."""
        with self._changed:
            closed = self._trials.pop(trial)
            self._changed.notify_all()
            return sum(result.running() or result.done() for result in closed.results[closed.turn :])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            for trial in self._trials.values():
                for result in trial.results:
                    result.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, result = taken
            try:
                result.set_result(self._evaluate(job))
            except BaseException as error:
                result.set_exception(error)

    def _take(self) -> tuple[FoldJob, "Future[FoldResult]"] | None:
        with self._changed:
            while not self._closed:
                chosen = self._most_urgent()
                if chosen is not None:
                    trial, position = chosen
                    trial.results[position].set_running_or_notify_cancel()
                    return trial.jobs[position], trial.results[position]
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
        all_run = all(trial.waits and trial.results[trial.turn].running() for trial in self._trials.values())
        if ahead and not (all_run and self._has_room()):
            return None
        return self._trials[number], position
