"""How much one run may spend; what is spent ends a study after a prefix of its trials, and changes none of them."""

import threading
import time
from collections.abc import Callable

from kallos.errors import require_number, require_whole
from kallos.scoring.job import FoldJob, FoldScore


class BudgetSpentError(Exception):
    """No further fold is fitted in this run; the message names the budget that is spent."""


class Budget:
    """Counts the folds that a run fits, and refuses one too many or too late.

    `timeout` is in seconds from now, `max_fold_fits` counts folds; None is no limit. What reads stored scores stands
    around `within`, as in `cache.through(budget.within(score_fold))`: a stored score costs nothing, and is not refused.
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
        """How many folds were fitted, or are being fitted."""
        return len(self._admitted)

    def within(self, score_fold: Callable[[FoldJob], FoldScore]) -> Callable[[FoldJob], FoldScore]:
        """Return `score_fold`, raising `BudgetSpentError` where it would fit beyond the budget."""

        def admitted(job: FoldJob) -> FoldScore:
            self._admit(job)
            try:
                return score_fold(job)
            except BudgetSpentError:
                # It has waited for a worker until none may begin any more.
                with self._lock:
                    self._admitted.discard(job.name)
                raise

        return admitted

    def check(self) -> None:
        """Raise `BudgetSpentError` if no fit may begin any more, nor one that was admitted and waits for a worker."""
        if self._has_ended:
            raise BudgetSpentError("the study has ended")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise BudgetSpentError(f"`timeout` {self._timeout:g} s is over")

    def end(self) -> None:
        """Admit no fit any more, nor one that waits for its worker: its study has ended."""
        self._has_ended = True

    def _admit(self, job: FoldJob) -> None:
        with self._lock:
            # A fold that was lost with its worker is tried again at no further cost.
            if job.name in self._admitted:
                return
            if self._max_fold_fits is not None and self.fits >= self._max_fold_fits:
                raise BudgetSpentError(f"`max_fold_fits` {self._max_fold_fits} is spent")
            self.check()
            self._admitted.add(job.name)
