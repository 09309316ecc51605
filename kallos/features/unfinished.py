"""The last row of a table that is filled while its time runs: what it holds is not what it will hold."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.features.frequency import Frequency, rows_on, usual_step
from kallos.features.local_days import clock_of
from kallos.words import pasteable

_FEWEST_ROWS = 10
# Rows keep to a distance if it is that of so many of them.
_USUAL = 0.4
# What follows by less than this share of every other distance is no row that a half day or summer time moved.
_FAR_BELOW = 0.85
_DAY = pd.Timedelta(days=1)
_ENDS = (
    pd.offsets.MonthEnd,
    pd.offsets.BusinessMonthEnd,
    pd.offsets.QuarterEnd,
    pd.offsets.BQuarterEnd,
    pd.offsets.YearEnd,
    pd.offsets.BYearEnd,
)
_FRIDAY = 4
# A volume below this share of the least of so many rows before is that of a part of a row's time; half a day of
# trading, such as that behind a holiday, has more.
_SHARE, _ROWS = 0.25, 60


class Unfinished(NamedTuple):
    """Why a row seems to be unfinished, in words, and the column that says so, None where the clock does."""

    why: str
    column: str | None = None


def is_off_clock(index: pd.Index) -> bool:
    """Return whether the last row of unique, sorted ones is no step of its own, of rows that keep to a distance.

    Such a row is stamped with the moment at which it was asked for: far nearer to the one before it than any other,
    and in the same week, month, quarter or year where each row has one of its own, or at a time of day of its own.
    """
    if not isinstance(index, pd.DatetimeIndex) or len(index) < _FEWEST_ROWS:
        return False
    distances = np.diff(index.asi8)
    if not 0 < distances[-1] < _FAR_BELOW * distances[:-1].min():
        return False
    others, last = index[:-1], index[-1]
    frequency = _frequency(others)
    if frequency is None:
        return False
    if frequency.unit is not None and last.to_period(frequency.unit) == others[-1].to_period(frequency.unit):
        return True
    return bool((others - others.normalize() != last - last.normalize()).all())


def without_off_clock(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows without a last one that is off their clock."""
    return frame.iloc[:-1] if is_off_clock(frame.index) else frame


def ends_after(index: pd.Index, now: datetime | None, zone: str | None = None) -> pd.Timestamp | None:
    """Return the end of the last row's time if it lies behind `now` (in UTC if it has no zone), or None.

    A row's time begins with its timestamp and lasts until the next one could come; that of a row which is stamped with
    the last day of a week or month ends with that day. Days are those of the zone, by default of UTC.
    """
    if now is None or not isinstance(index, pd.DatetimeIndex) or len(index) < _FEWEST_ROWS:
        return None
    frequency = _frequency(index)
    if frequency is None:
        return None
    end = _end(index[-1], frequency)
    return end if clock_of(now, zone) < end else None


def why_unfinished(
    frame: pd.DataFrame, volumes: Sequence[str], now: datetime | None, zone: str | None = None
) -> Unfinished | None:
    """Return why the last row seems to be unfinished, or None; `volumes` are the columns of volumes."""
    end = ends_after(frame.index, now, zone)
    if end is not None:
        return Unfinished(not_over_before(end, zone))
    thin = next((name for name in volumes if is_thin(frame[name])), None)
    if thin is None:
        return None
    return Unfinished(
        f"holds a part of its volume alone ({pasteable(thin)} is {frame[thin].iloc[-1]:.6g})", column=thin
    )


def not_over_before(end: pd.Timestamp, zone: str | None) -> str:
    """Return in words when the time of a row ends."""
    return f"is not over before {end} ({zone or 'UTC'})"


def finished_rows(
    frame: pd.DataFrame, volumes: Sequence[str], now: datetime, zone: str | None = None
) -> tuple[pd.DataFrame, str | None]:
    """Return the rows up to the last one that seems to be finished, and why the last one of all is not, or None.

    Timestamps are those of the zone's clocks, by default UTC's.
    """
    past = frame
    if isinstance(frame.index, pd.DatetimeIndex):
        past = frame.iloc[: int(frame.index.searchsorted(clock_of(now, zone), side="right"))]
    unfinished = why_unfinished(past, volumes, now, zone)
    finished = past if unfinished is None else past.iloc[:-1]
    if len(past) < len(frame):
        return finished, "lies in the future"
    return finished, None if unfinished is None else unfinished.why


def is_thin(volume: pd.Series) -> bool:
    """Return whether the last volume is far below the least of many rows before it."""
    before = volume.iloc[-_ROWS - 1 : -1]
    least = before.min()
    return len(before) == _ROWS and bool(before.notna().all()) and bool(0 <= volume.iloc[-1] < _SHARE * least)


def _frequency(index: pd.DatetimeIndex) -> Frequency | None:
    """Return the distance to which many rows keep, or on whose days most of them lie, or None."""
    frequency = Frequency(usual_step(index))
    if frequency.unit is not None:
        return frequency if 2 * rows_on(index, str(frequency)) > len(index) else None
    _, counts = np.unique(np.diff(index.asi8), return_counts=True)
    return frequency if counts.max() >= _USUAL * (len(index) - 1) else None


def _end(last: pd.Timestamp, frequency: Frequency) -> pd.Timestamp:
    offset = to_offset(frequency.step)
    if frequency.unit is None:
        return last + offset
    if isinstance(offset, _ENDS) or (isinstance(offset, pd.offsets.Week) and (offset.weekday or 0) >= _FRIDAY):
        return last.normalize() + _DAY
    following = (last.to_period(frequency.unit) + offset.n).start_time
    return offset.rollforward(following) + (last - last.normalize())
