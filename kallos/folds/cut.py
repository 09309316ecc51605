"""Walk-forward folds on a fixed grid, purged so that no fold sees its future."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.clock import can_follow
from kallos.features.frequency import Frequency, find_frequency
from kallos.specs.study import FoldSpec

_PERIODS = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q-DEC", "year": "Y-DEC"}
# With fewer forecasts, the variance of a mean difference is meaningless; docs/evaluating.md has the size of the test.
_FEWEST_ORIGINS = 30
_FEWEST_OVERLAPS = 5


def fewest_origins(lead: int, horizon: int) -> int:
    """Return the number of forecast origins that a verdict needs."""
    return max(_FEWEST_ORIGINS, _FEWEST_OVERLAPS * (lead + horizon - 1))


@dataclass(frozen=True)
class Fold:
    """One fold as row positions with exclusive stops.

    Rows between `train_stop` and `validation_start` are purged: training never sees them, but a forecast may use them
    as input.
    """

    number: int
    train_start: int
    train_stop: int
    validation_start: int
    validation_stop: int

    @property
    def rows(self) -> slice:
        """All rows that the fold sees."""
        return slice(self.train_start, self.validation_stop)

    def shifted(self) -> "Fold":
        """The same fold without its number, with positions from its own first row."""
        first = self.train_start
        return Fold(0, 0, self.train_stop - first, self.validation_start - first, self.validation_stop - first)


@dataclass(frozen=True)
class FoldGrid:
    """The folds of a study, and the current window after the last complete one, if there is one.

    The study's rows end before `study_stop`. The hold-out, if any, has the rows from `holdout_start` to `holdout_stop`.
    Rows between the two are purged, since their targets are not known at the hold-out's first origin.
    """

    folds: tuple[Fold, ...]
    current_fold: Fold | None
    study_stop: int
    holdout_start: int | None = None
    holdout_stop: int | None = None


def cut_folds(index: pd.Index, spec: FoldSpec, *, lead: int = 1, frequency: Frequency | str | None = None) -> FoldGrid:
    """Return the last `spec.n_folds` complete windows before the hold-out as folds, and the current window.

    The hold-out is the last `spec.holdout` complete windows; then the current window does not belong to the study.
    `lead` is the distance in rows from a forecast origin to the first forecast row: 1, or the label horizon. A
    frequency given as text is checked, and None is detected. Raises `DataError` if there are too few complete windows,
    or no row is left to train on.
    """
    if not isinstance(frequency, Frequency):
        frequency = find_frequency(index, frequency)
    window = spec.window or frequency.default_window
    edges, last_is_complete = _edges(index, window, frequency)
    n_complete = len(edges) - 1 if last_is_complete else len(edges) - 2
    needed = spec.n_folds + 1 + spec.holdout
    if n_complete < needed:
        holdout = f" and `holdout` {spec.holdout}" if spec.holdout else ""
        verb = "need" if spec.holdout else "needs"
        length = f"{window} rows" if isinstance(window, int) else f"a {window}"
        raise DataError(
            f"`n_folds` {spec.n_folds}{holdout} {verb} {needed} complete windows of {length}, the first for training, "
            f"or about {needed * _rows_per_window(index, window, frequency)} rows, and the data has "
            f"{max(n_complete, 0)} complete windows and {len(index)} rows",
            "bring more rows, reduce `n_folds`, or choose a shorter `window`",
            fault="too-few-rows",
        )
    # Training labels must be known `lead` rows before the first scored row.
    n_purged = lead - 1 + spec.gap
    if spec.holdout:
        n_complete -= spec.holdout
        holdout_start, holdout_stop = edges[n_complete], edges[n_complete + spec.holdout]
        edges = [*edges[:n_complete], holdout_start - n_purged]
        if edges[-1] <= edges[-2]:
            raise DataError(
                f"purge and gap before the hold-out take {n_purged} rows, and the last validation window has only "
                f"{holdout_start - edges[-2]}",
                "choose a longer `window`, or reduce `gap`",
                fault="too-few-rows",
            )
    first = n_complete - spec.n_folds
    folds = tuple(
        _fold(number, edges[window], edges[window + 1], n_purged, spec.train_rows)
        for number, window in enumerate(range(first, n_complete), start=1)
    )
    if spec.holdout:
        return FoldGrid(folds, None, edges[-1], holdout_start, holdout_stop)
    current_fold = (
        None if last_is_complete else _fold(spec.n_folds + 1, edges[-2], edges[-1], n_purged, spec.train_rows)
    )
    return FoldGrid(folds, current_fold, len(index))


def splits(frame: pd.DataFrame, folds: tuple[Fold, ...]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield the training and the validation rows of each fold."""
    for fold in folds:
        yield (
            frame.iloc[fold.train_start : fold.train_stop],
            frame.iloc[fold.validation_start : fold.validation_stop],
        )


def _fold(number: int, start: int, stop: int, n_purged: int, train_rows: int | None) -> Fold:
    train_stop = start - n_purged
    if train_stop <= 0:
        raise DataError(
            f"fold {number} has {start} rows before its validation window, and purge and gap take {n_purged}",
            "bring earlier rows, or reduce `n_folds`",
            fault="too-few-rows",
        )
    train_start = 0 if train_rows is None else train_stop - train_rows
    if train_start < 0:
        raise DataError(
            f"fold {number} needs `train_rows` {train_rows} before its validation window, and has {train_stop}",
            "bring earlier rows, or reduce `n_folds` or `train_rows`",
            fault="too-few-rows",
        )
    return Fold(number, train_start, train_stop, start, stop)


def _rows_per_window(index: pd.Index, window: str | int, frequency: Frequency) -> int:
    """Return about how many rows a window has; a calendar window is one of 2001, filled at the usual rate of rows."""
    if isinstance(window, int):
        return window
    period = pd.Period("2001-01-01", freq=_PERIODS[window])
    if not frequency.has_gaps:
        return len(pd.date_range(period.start_time, period.end_time, freq=frequency.step))
    share = (period.end_time - period.start_time) / (index[-1] - index[0] + frequency.length)
    return max(int(np.rint(len(index) * share)), 1)


def _edges(index: pd.Index, window: str | int, frequency: Frequency) -> tuple[list[int], bool]:
    """Return the positions where windows begin, and the end of the data, and whether the last window is complete."""
    if isinstance(window, int):
        edges = list(range(0, len(index), window))
        return [*edges, len(index)], len(index) % window == 0
    if not frequency.has_calendar:
        raise UsageError(
            f"`window` {window} needs timestamps, but the rows are indexed by integers; give a number of rows"
        )
    periods = index.to_period(_PERIODS[window])
    codes = np.asarray(periods.asi8)
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist()]
    # A window is complete if no further row can fall into it.
    return [*starts, len(index)], not can_follow(index, frequency, periods[-1].end_time)


@dataclass(frozen=True)
class InnerCut:
    """Where inner validation begins, as row positions of the fold's frame."""

    fit_stop: int
    inner_start: int


def cut_inner(fold: Fold, share: float, *, lead: int, horizon: int) -> InnerCut:
    """Return the cut of the training rows into those that fit the weights and the inner validation at the end.

    Rows between the two are purged as before a validation window. Inner validation has at least one whole horizon.
    """
    n_rows = fold.train_stop - fold.train_start
    inner_start = fold.train_stop - max(round(n_rows * share), horizon)
    return InnerCut(fit_stop=inner_start - (lead - 1), inner_start=inner_start)
