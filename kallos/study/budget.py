"""How much one run may spend; what is spent ends a study after a prefix of its trials, and changes none of them."""

import threading
import time
from collections.abc import Callable

from kallos.errors import require_callable, require_number, require_whole
from kallos.scoring.job import FoldJob, FoldScore


class BudgetSpentError(Exception):
    """No further fold is fitted in this run; the message names the budget that is spent."""


class Budget:
    """Counts the fits of a run, and refuses one too many or too late; scores that are stored are always read.

    `timeout` is in seconds from now, `max_fold_fits` counts fits; None is no limit.
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        max_fold_fits: int | None = None,
        is_stored: Callable[[FoldJob], bool] = lambda job: False,
    ) -> None:
        if timeout is not None:
            require_number(0, timeout=timeout)
        if max_fold_fits is not None:
            require_whole(0, max_fold_fits=max_fold_fits)
        require_callable(is_stored=is_stored)
        self.fits = 0
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._max_fold_fits = max_fold_fits
        self._is_stored = is_stored
        self._lock = threading.Lock()
        self._has_ended = False

    def within(self, score_fold: Callable[[FoldJob], FoldScore]) -> Callable[[FoldJob], FoldScore]:
        """Return `score_fold`, raising `BudgetSpentError` where it would have to fit beyond the budget."""

        def admitted(job: FoldJob) -> FoldScore:
            if self._is_stored(job):
                return score_fold(job)
            self._count()
            try:
                return score_fold(job)
            except BudgetSpentError:
                with self._lock:
                    self.fits -= 1
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

    def _count(self) -> None:
        with self._lock:
            if self._max_fold_fits is not None and self.fits >= self._max_fold_fits:
                raise BudgetSpentError(f"`max_fold_fits` {self._max_fold_fits} is spent")
            self.check()
            self.fits += 1
