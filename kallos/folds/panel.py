"""Rows of one asset, or of several one below the other, and folds by date across all of them.

Dates are those of the calendar, which holds every timestamp that any asset has: a cut in it is a cut in each asset's
rows. Of a single asset the calendar is its own index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency, find_frequency
from kallos.folds.grid import Fold, FoldGrid, InnerCut, cut_folds, cut_inner
from kallos.specs.study import FoldSpec
from kallos.words import pasteable, shorten


@dataclass(frozen=True, eq=False)
class Panel:
    """The rows of each asset, all of the same columns, in one frame: those of the first, then those of the second.

    Timestamps are unique and sorted within an asset. A fold of the calendar has positions in the calendar; one of an
    asset has positions in the frame.
    """

    frame: pd.DataFrame
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Mapping[str, pd.DataFrame]) -> "Panel":
        """Return the panel of these assets' rows. Raises `DataError` if their columns differ."""
        (first, frame), *others = rows.items()
        for name, other in others:
            differing = sorted(set(frame.columns) ^ set(other.columns))
            if differing:
                raise DataError(
                    f"assets of one model must have the same columns, and of {first} and {name} one alone has "
                    f"{shorten([pasteable(each) for each in differing], 3)}",
                    "name these in 'exclude'",
                )
        parts = [frame, *(other[frame.columns] for _, other in others)]
        return cls(pd.concat(parts), tuple(map(len, parts)))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Position of each asset's first row in the frame."""
        return tuple(sum(self.lengths[:position]) for position in range(len(self.lengths)))

    @cached_property
    def timestamps(self) -> tuple[pd.Index, ...]:
        """The index of each asset's rows."""
        return tuple(self.frame.index[start : start + n] for start, n in zip(self.starts, self.lengths, strict=True))

    @cached_property
    def calendar(self) -> pd.Index:
        """Every timestamp that any asset has, sorted."""
        return union(self.timestamps)

    def before(self, stop: int) -> "Panel":
        """Return the rows before a position of the calendar."""
        lengths = tuple(rows_before(timestamps, self.calendar, stop) for timestamps in self.timestamps)
        parts = [self.frame.iloc[start : start + n] for start, n in zip(self.starts, lengths, strict=True)]
        return Panel(pd.concat(parts), lengths)

    def cut_folds(self, spec: FoldSpec, *, lead: int = 1, frequency: str | None = None) -> FoldGrid:
        """Return the folds by positions in the calendar; see `kallos.folds.grid.cut_folds`.

        Whatever trains was known at the first forecast origin behind a cut, that of whichever asset has the earliest.
        `frequency` is that of each asset, found out by default.
        """
        grid = cut_folds(self.calendar, spec, lead=lead, frequency=self._rhythm(frequency))

        def known_before(start: int, stop: int) -> int:
            return min(stop, known(self.timestamps, self.calendar, start, lead=lead) - spec.gap)

        study_stop = (
            grid.study_stop if grid.holdout_start is None else known_before(grid.holdout_start, grid.study_stop)
        )

        def purged(fold: Fold) -> Fold:
            stop = known_before(fold.validation_start, fold.train_stop)
            start = max(fold.train_start - (fold.train_stop - stop), 0)
            if stop <= start:
                raise DataError(f"fold {fold.number} has no row that all assets may train on", "bring earlier rows")
            end = max(min(fold.validation_stop, study_stop), fold.validation_start)
            return replace(fold, train_start=start, train_stop=stop, validation_stop=end)

        return replace(
            grid,
            folds=tuple(map(purged, grid.folds)),
            current_fold=None if grid.current_fold is None else purged(grid.current_fold),
            study_stop=study_stop,
        )

    def _rhythm(self, given: str | None) -> Frequency:
        """Return the calendar's frequency: rows may be missing in it, as far apart as those of the closest asset.

        It keeps to a regular frequency only where all assets do, and leave no gap between them.
        """
        found = [find_frequency(timestamps, given) for timestamps in self.timestamps]
        if len(set(found)) == 1 and not found[0].has_gaps:
            try:
                return find_frequency(self.calendar, str(found[0]))
            except DataError:
                pass
        return replace(min(found, key=lambda each: each.length), has_gaps=True)

    def folds_of(self, fold: Fold) -> tuple[Fold, ...]:
        """Return a fold of the calendar as one of each asset."""
        bounds = (fold.train_start, fold.train_stop, fold.validation_start, fold.validation_stop)
        return tuple(
            Fold(fold.number, *(start + rows_before(timestamps, self.calendar, bound) for bound in bounds))
            for start, timestamps in zip(self.starts, self.timestamps, strict=True)
        )


def union(timestamps: Sequence[pd.Index]) -> pd.Index:
    """Return every timestamp that any of these has, sorted."""
    return reduce(lambda all_, each: all_ if each.equals(all_) else all_.union(each), timestamps)


def rows_before(timestamps: pd.Index, calendar: pd.Index, position: int) -> int:
    """Return how many of an asset's rows lie before a position of the calendar."""
    return len(timestamps) if position == len(calendar) else int(timestamps.searchsorted(calendar[position]))


def known(timestamps: Sequence[pd.Index], calendar: pd.Index, start: int, *, lead: int) -> int:
    """Return the position in the calendar up to which all was known at the first origin of rows from `start` on.

    An asset's first origin lies `lead` of its own rows before the first one that is forecast.
    """
    firsts = [rows_before(each, calendar, start) for each in timestamps]
    origins = [each[first - lead] for each, first in zip(timestamps, firsts, strict=True) if first >= lead]
    return int(calendar.searchsorted(min(origins), side="right")) if origins else start


def inner_cuts(timestamps: Sequence[pd.Index], share: float, *, lead: int, horizon: int) -> tuple[InnerCut, ...]:
    """Return the cut of each asset's training rows into those that fit the weights and those that stop early.

    `timestamps` are those of the training rows; positions are counted from an asset's first one. See
    `kallos.folds.grid.cut_inner`.
    """
    calendar = union(timestamps)
    n_rows = len(calendar)
    start = cut_inner(Fold(0, 0, n_rows, n_rows, n_rows), share, lead=lead, horizon=horizon).inner_start
    stop = known(timestamps, calendar, start, lead=lead) if start > 0 else start - lead + 1
    return tuple(
        InnerCut(fit_stop=rows_before(each, calendar, stop), inner_start=rows_before(each, calendar, start))
        for each in timestamps
    )
