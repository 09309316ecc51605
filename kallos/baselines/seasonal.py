"""Seasons, and the rows that lie a season back by the clock."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.features.frequency import Frequency

Positions = npt.NDArray[np.int64]

# The number of known seasons in which to look for a row, because older ones say little about today.
_FURTHEST = 7
_DAY, _WEEK, _YEAR = pd.Timedelta(days=1), pd.Timedelta(days=7), pd.Timedelta(days=365.25)


@dataclass(frozen=True)
class Season:
    """The period after which values may repeat, and the usual distance between rows."""

    period: pd.Timedelta | pd.DateOffset
    step: pd.Timedelta

    @classmethod
    def of(cls, frequency: Frequency) -> "Season | None":
        """Return the season of a frequency, or None if there is none.

        It is a day for rows more frequent than daily, a week for rows more frequent than weekly, and otherwise a year:
        12 months, or the closest whole number of steps.
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
        """Return whether the rows up to position `last` span two seasons, counting the time up to the next row."""
        # Months differ in length, so half a step more or less is tolerated.
        return last >= 0 and bool(index[last] + 1.5 * self.step - 2 * self.period >= index[0])

    def rows_before(self, index: pd.DatetimeIndex, rows: Positions, origins: Positions) -> Positions:
        """Return the position of the row one season before each of `rows`, or more seasons until it is known.

        It must be less than half a step away from that time. If there is no such row, earlier seasons are tried; if
        seven known seasons have none, the result is the origin. -1 means that the first row is too late. The arguments
        are broadcast.
        """
        rows, origins = (np.array(each) for each in np.broadcast_arrays(rows, origins))
        found, pending = np.full(rows.shape, -1, np.int64), np.ones(rows.shape, bool)
        seasons, tries = 0, np.zeros(rows.shape, np.int64)
        while pending.any():
            seasons += 1
            known, wanted = origins[pending], index[rows[pending]] - seasons * self.period
            nearest = _nearest(index, wanted)
            is_close = (nearest <= known) & (np.abs(index[nearest] - wanted) < self.step / 2)
            is_after_first = np.asarray(wanted > index[0] - self.step / 2)
            is_known = is_after_first & np.asarray(wanted < index[known] + self.step / 2)
            found[pending] = np.where(is_close, nearest, np.where(is_known, known, found[pending]))
            tries[pending] += is_known
            pending[pending] = is_after_first & ~is_close & (tries[pending] < _FURTHEST)
        return found


def _nearest(index: pd.DatetimeIndex, moments: pd.DatetimeIndex) -> Positions:
    """Return the position of the row nearest to each moment, the earlier one of two."""
    after = np.minimum(index.searchsorted(moments), len(index) - 1)
    before = np.maximum(after - 1, 0)
    nearest: Positions = np.where(np.abs(moments - index[before]) <= np.abs(index[after] - moments), before, after)
    return nearest
