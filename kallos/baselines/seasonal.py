"""After which time values may repeat themselves, and the row that lies so far back by the clock."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.features.frequency import Frequency

Positions = npt.NDArray[np.int64]

# How many seasons back a row is looked for, from the first that is known: those before say little of today.
_FURTHEST = 7
_DAY, _WEEK, _YEAR = pd.Timedelta(days=1), pd.Timedelta(days=7), pd.Timedelta(days=365.25)


@dataclass(frozen=True)
class Season:
    """A time after which values may repeat themselves, and how far apart rows usually are."""

    period: pd.Timedelta | pd.DateOffset
    step: pd.Timedelta

    @classmethod
    def of(cls, frequency: Frequency) -> "Season | None":
        """Return the season of a frequency, or None if nothing suggests any.

        A day of what is more frequent than daily, a week of what is more frequent than weekly, a year of all else: 12
        months, or as many whole weeks or days as come closest.
        """
        if frequency.step is None:
            return None
        length = frequency.length
        whole = _DAY if length < _DAY else _WEEK if length < _WEEK else _YEAR
        n_rows = round(whole / length)
        if n_rows < 2:
            return None
        if whole < _YEAR:
            return cls(whole, length)
        is_of_days = isinstance(to_offset(frequency.step), pd.offsets.Tick | pd.offsets.Day | pd.offsets.Week)
        return cls(n_rows * length if is_of_days else pd.DateOffset(months=12), length)

    def is_known_twice(self, index: pd.DatetimeIndex, last: int) -> bool:
        """Return whether rows up to position `last` span two seasons, each with the time up to the next row."""
        # Months are of unlike lengths: half a step more or less is no other season.
        return last >= 0 and bool(index[last] + 1.5 * self.step - 2 * self.period >= index[0])

    def rows_before(self, index: pd.DatetimeIndex, rows: Positions, origins: Positions) -> Positions:
        """Return the position of the row a season before each of `rows`, or as few more as make it known at its origin.

        It is the one next to that time, less than half a step away. Where there is none, a season more is gone back,
        and where none of seven known seasons has one, it is the origin itself. -1 if no whole season lies behind the
        first row. The arguments are broadcast.
        """
        rows, origins = (np.array(each) for each in np.broadcast_arrays(rows, origins))
        found, pending = np.full(rows.shape, -1, np.int64), np.ones(rows.shape, bool)
        seasons, tries = 0, np.zeros(rows.shape, np.int64)
        while pending.any():
            seasons += 1
            known, wanted = origins[pending], index[rows[pending]] - seasons * self.period
            nearest = _nearest(index, wanted)
            is_there = (nearest <= known) & (np.abs(index[nearest] - wanted) < self.step / 2)
            is_behind_first = np.asarray(wanted > index[0] - self.step / 2)
            is_known = is_behind_first & np.asarray(wanted < index[known] + self.step / 2)
            found[pending] = np.where(is_there, nearest, np.where(is_known, known, found[pending]))
            tries[pending] += is_known
            pending[pending] = is_behind_first & ~is_there & (tries[pending] < _FURTHEST)
        return found


def _nearest(index: pd.DatetimeIndex, moments: pd.DatetimeIndex) -> Positions:
    """Return the position of the row next to each moment, the earlier of two as near."""
    behind = np.minimum(index.searchsorted(moments), len(index) - 1)
    before = np.maximum(behind - 1, 0)
    nearest: Positions = np.where(np.abs(moments - index[before]) <= np.abs(index[behind] - moments), before, behind)
    return nearest
