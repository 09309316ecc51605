"""Walk-forward folds on a fixed grid: where each begins and ends, and why no fold sees its future."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.clock import can_follow
from kallos.features.frequency import Frequency, find_frequency
from kallos.specs.study import FoldSpec

_PERIODS = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q-DEC", "year": "Y-DEC"}


# With fewer forecasts of a hold-out the variance of a mean difference says nothing: docs/evaluating.md has the size of
# the verdict's test at these.
_FEWEST_ORIGINS = 30
_FEWEST_OVERLAPS = 5


def fewest_origins(lead: int, horizon: int) -> int:
    """Return how many forecast origins a hold-out needs for a verdict."""
    return max(_FEWEST_ORIGINS, _FEWEST_OVERLAPS * (lead + horizon - 1))


@dataclass(frozen=True)
class Fold:
    """One fold as row positions, each stop exclusive.

    Rows between `train_stop` and `validation_start` are purged: no training sees them, but a forecast may
    look back on them.
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
        """The same fold with positions counted from its own first row, and without its number."""
        first = self.train_start
        return Fold(0, 0, self.train_stop - first, self.validation_start - first, self.validation_stop - first)


@dataclass(frozen=True)
class FoldGrid:
    """The folds of a study, and the current window behind the last complete one, where there is one.

    The study's rows end before `study_stop`. Those from `holdout_start` up to `holdout_stop`, if they are given, are
    the hold-out; those between study and hold-out are purged: their targets are not known at its first origin.
    """

    folds: tuple[Fold, ...]
    current_fold: Fold | None
    study_stop: int
    holdout_start: int | None = None
    holdout_stop: int | None = None


def cut_folds(index: pd.Index, spec: FoldSpec, *, lead: int = 1, frequency: Frequency | str | None = None) -> FoldGrid:
    """Return the last `spec.n_folds` complete windows of the grid before the hold-out as folds, and the current window.

    A hold-out is the last `spec.holdout` complete windows; the current one behind them is not the study's, either.
    `lead` is the distance in rows from a forecast origin to the first forecast row: 1, or the label's horizon. The
    frequency is found out by default, checked if it is written, and believed if it was found before. Raises `DataError`
    if there are too few complete windows or no row is left to train on.
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
        raise DataError(
            f"`n_folds` {spec.n_folds}{holdout} {verb} {needed} complete windows ({_describe(window)}), the first to "
            f"train on: about {needed * _rows_per_window(index, window, frequency)} rows, and there are {len(index)} "
            f"with {max(n_complete, 0)} complete windows",
            "bring more rows, or take fewer folds or a shorter `window`",
            fault="too-few-rows",
        )
    # What trains must be known `lead` rows before the first scored row.
    n_purged = lead - 1 + spec.gap
    if spec.holdout:
        n_complete -= spec.holdout
        holdout_start, holdout_stop = edges[n_complete], edges[n_complete + spec.holdout]
        # The cut between study and hold-out is one like any other.
        edges = [*edges[:n_complete], holdout_start - n_purged]
        if edges[-1] <= edges[-2]:
            raise DataError(
                f"purge and gap before a hold-out take {n_purged} rows, and the last validation window has "
                f"{holdout_start - edges[-2]}",
                "take a longer `window`, or a smaller `gap`",
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
            "bring earlier rows, or take fewer `n_folds`",
            fault="too-few-rows",
        )
    train_start = 0 if train_rows is None else train_stop - train_rows
    if train_start < 0:
        raise DataError(
            f"rolling training windows of {train_rows} rows do not fit: fold {number} has {train_stop} rows before "
            f"its validation window",
            "bring earlier rows, or take fewer `n_folds` or `train_rows`",
            fault="too-few-rows",
        )
    return Fold(number, train_start, train_stop, start, stop)


def _describe(window: str | int) -> str:
    return f"of {window} rows" if isinstance(window, int) else f"a {window} each"


def _rows_per_window(index: pd.Index, window: str | int, frequency: Frequency) -> int:
    """Return how many rows a window holds: a calendar window as many as one of 2001, at the rate at which rows come."""
    if isinstance(window, int):
        return window
    period = pd.Period("2001-01-01", freq=_PERIODS[window])
    if not frequency.has_gaps:
        return len(pd.date_range(period.start_time, period.end_time, freq=frequency.step))
    share = (period.end_time - period.start_time) / (index[-1] - index[0] + frequency.length)
    return max(int(np.rint(len(index) * share)), 1)


def _edges(index: pd.Index, window: str | int, frequency: Frequency) -> tuple[list[int], bool]:
    """Return the positions at which windows begin, with the end of the data, and whether the last is complete."""
    if isinstance(window, int):
        edges = list(range(0, len(index), window))
        return [*edges, len(index)], len(index) % window == 0
    if not frequency.has_calendar:
        raise UsageError(
            f"a window of a {window} needs timestamps, but the rows are indexed by integers: give `window` a number of "
            f"rows"
        )
    periods = index.to_period(_PERIODS[window])
    codes = np.asarray(periods.asi8)
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist()]
    # Complete is a window into which no further row can fall.
    return [*starts, len(index)], not can_follow(index, frequency, periods[-1].end_time)


@dataclass(frozen=True)
class InnerCut:
    """Where early stopping's own validation part begins, as row positions of the fold's frame."""

    fit_stop: int
    inner_start: int


def cut_inner(fold: Fold, share: float, *, lead: int, horizon: int) -> InnerCut:
    """Return the cut of the training rows into those that fit the weights and the last ones, which stop early.

    The rows between the two are purged as before a validation window. The inner part holds one whole
    horizon at least.
    """
    n_rows = fold.train_stop - fold.train_start
    inner_start = fold.train_stop - max(round(n_rows * share), horizon)
    return InnerCut(fit_stop=inner_start - (lead - 1), inner_start=inner_start)
