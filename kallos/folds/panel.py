"""The rows of one or more assets, one after the other, and folds by date across all of them.

Folds are cut in the calendar, which has every timestamp of any asset; each cut applies to the rows of every asset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency, find_frequency
from kallos.folds.cut import Fold, FoldGrid, InnerCut, cut_folds, cut_inner
from kallos.specs.study import FoldSpec
from kallos.words import pasteable, shorten


@dataclass(frozen=True, eq=False)
class Panel:
    """The rows of each asset in one frame, asset after asset, all with the same columns.

    Timestamps are unique and sorted within an asset. Folds of the calendar have positions in the calendar, and folds of
    an asset have positions in the frame.
    """

    frame: pd.DataFrame
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Mapping[str, pd.DataFrame]) -> "Panel":
        """Return the panel of these assets' rows; raises `DataError` if their columns differ."""
        (first, frame), *others = rows.items()
        for name, other in others:
            differing = sorted(set(frame.columns) ^ set(other.columns))
            if differing:
                raise DataError(
                    f"assets of one model must have the same columns, and only one of {first} and {name} has "
                    f"{shorten([pasteable(each) for each in differing], 3)}",
                    "add these to 'exclude'",
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
        """Every timestamp of any asset, sorted."""
        return union(self.timestamps)

    def before(self, stop: int) -> "Panel":
        """Return the rows before a position of the calendar."""
        lengths = tuple(rows_before(timestamps, self.calendar, stop) for timestamps in self.timestamps)
        parts = [self.frame.iloc[start : start + n] for start, n in zip(self.starts, lengths, strict=True)]
        return Panel(pd.concat(parts), lengths)

    def cut_folds(self, spec: FoldSpec, *, lead: int = 1, frequency: str | None = None) -> FoldGrid:
        """Return the folds by positions in the calendar; see `kallos.folds.cut.cut_folds`.

        Training labels are known at the first forecast origin after a cut, the earliest of all assets. `frequency` is
        that of each asset, detected by default.
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
                raise DataError(f"fold {fold.number} has no training rows for all assets", "bring earlier rows")
            end = max(min(fold.validation_stop, study_stop), fold.validation_start)
            return replace(fold, train_start=start, train_stop=stop, validation_stop=end)

        return replace(
            grid,
            folds=tuple(map(purged, grid.folds)),
            current_fold=None if grid.current_fold is None else purged(grid.current_fold),
            study_stop=study_stop,
        )

    def _rhythm(self, given: str | None) -> Frequency:
        """Return the calendar's frequency: regular if that of all assets is, and together they have no gaps.

        Otherwise it is the shortest of the assets' frequencies, with gaps.
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
    """Return the sorted union of timestamps."""
    return reduce(lambda all_, each: all_ if each.equals(all_) else all_.union(each), timestamps)


def rows_before(timestamps: pd.Index, calendar: pd.Index, position: int) -> int:
    """Return how many of an asset's rows are before a position of the calendar."""
    return len(timestamps) if position == len(calendar) else int(timestamps.searchsorted(calendar[position]))


def known(timestamps: Sequence[pd.Index], calendar: pd.Index, start: int, *, lead: int) -> int:
    """Return the position in the calendar up to which all was known when the rows from `start` on were first forecast.

    An asset's first origin is `lead` of its own rows before its first forecast row.
    """
    firsts = [rows_before(each, calendar, start) for each in timestamps]
    origins = [each[first - lead] for each, first in zip(timestamps, firsts, strict=True) if first >= lead]
    return int(calendar.searchsorted(min(origins), side="right")) if origins else start


def inner_cuts(timestamps: Sequence[pd.Index], share: float, *, lead: int, horizon: int) -> tuple[InnerCut, ...]:
    """Return the cut of each asset's training rows for inner validation; see `kallos.folds.cut.cut_inner`.

    `timestamps` are those of the training rows, and positions count from an asset's first one.
    """
    calendar = union(timestamps)
    n_rows = len(calendar)
    start = cut_inner(Fold(0, 0, n_rows, n_rows, n_rows), share, lead=lead, horizon=horizon).inner_start
    stop = known(timestamps, calendar, start, lead=lead) if start > 0 else start - lead + 1
    return tuple(
        InnerCut(fit_stop=rows_before(each, calendar, stop), inner_start=rows_before(each, calendar, start))
        for each in timestamps
    )
