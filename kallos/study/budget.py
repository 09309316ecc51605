"""The budget of a run. A spent budget ends a study early, but changes none of its trials."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kallos.errors import require_number, require_whole
from kallos.scoring.job import FoldJob

Done = TypeVar("Done")


class BudgetSpentError(Exception):
    """The run may fit no more folds; the message names the spent budget."""


class Budget:
    """A limit on the folds that a run fits: `timeout` in seconds from now, and `max_fold_fits`; None is no limit.

    Put the cache around it, as in `cache.through(budget.within(evaluate))`, so that stored results cost nothing.
    """

    def __init__(self, *, timeout: float | None = None, max_fold_fits: int | None = None) -> None:
        if timeout is not None:
            require_number(0, timeout=timeout)
        if max_fold_fits is not None:
            require_whole(0, max_fold_fits=max_fold_fits)
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._max_fold_fits = max_fold_fits
        self._admitted: set[str] = set()
        self._lock = threading.Lock()
        self._has_ended = False

    @property
    def fits(self) -> int:
        """Number of folds that were fitted or are being fitted."""
        return len(self._admitted)

    def within(self, evaluate: Callable[[FoldJob], Done]) -> Callable[[FoldJob], Done]:
        """Return `evaluate`, raising `BudgetSpentError` once the budget is spent."""

        def admitted(job: FoldJob) -> Done:
            self._admit(job)
            try:
                return evaluate(job)
            except BudgetSpentError:
                # The budget was spent while the fold waited for a worker.
                with self._lock:
                    self._admitted.discard(job.name)
                raise

        return admitted

    def check(self) -> None:
        """Raise `BudgetSpentError` if no fit may begin any more, not even one that waits for a worker."""
        if self._has_ended:
            raise BudgetSpentError("the study has ended")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise BudgetSpentError(f"`timeout` {self._timeout:g} s is over")

    def end(self) -> None:
        """Admit no more fits, not even one that waits for a worker, because the study has ended."""
        self._has_ended = True

    def _admit(self, job: FoldJob) -> None:
        with self._lock:
            # Retrying a fold that was lost with its worker costs nothing.
            if job.name in self._admitted:
                return
            if self._max_fold_fits is not None and self.fits >= self._max_fold_fits:
                raise BudgetSpentError(f"`max_fold_fits` {self._max_fold_fits} is spent")
            self.check()
            self._admitted.add(job.name)
