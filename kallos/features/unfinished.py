"""Detects a last row that is not finished yet, so that its values will still change."""

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
# Rows have a usual distance if at least this share of them has it.
_USUAL = 0.4
# A row this much closer than any other cannot be explained by a half day or daylight saving time.
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
# A volume below this share of the least of so many previous rows is partial; even a half trading day has more.
_SHARE, _ROWS = 0.25, 60


class Unfinished(NamedTuple):
    """Why a row seems to be unfinished, and the column that shows it, or None if the time does."""

    why: str
    column: str | None = None


def is_off_clock(index: pd.Index) -> bool:
    """Return whether the last of unique, sorted rows is not a step of its own, unlike all others.

    Such a row has the time of the request as its timestamp: it is much closer to the previous row than any other, and
    lies in the same week, month, quarter or year if each should have one row, or at a time of day that no other row
    has.
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


def ends_after(index: pd.Index, now: datetime | None, zone: str | None = None) -> pd.Timestamp | None:
    """Return when the last row's time ends if that is after `now` (in UTC if it has no zone), or None.

    A row's time lasts from its timestamp until the next row could come; if the timestamp is the last day of a week or
    month, it ends with that day. Days are those of the zone, by default UTC.
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
    """Return why the last row seems to be unfinished, or None; `volumes` are the volume columns."""
    end = ends_after(frame.index, now, zone)
    if end is not None:
        return Unfinished(not_over_before(end, zone))
    thin = next((name for name in volumes if is_thin(frame[name])), None)
    if thin is None:
        return None
    return Unfinished(f"has only a part of its volume ({pasteable(thin)} is {frame[thin].iloc[-1]:.6g})", column=thin)


def not_over_before(end: pd.Timestamp, zone: str | None) -> str:
    """Say when the time of a row ends."""
    return f"is not over before {end} ({zone or 'UTC'})"


def finished_rows(
    frame: pd.DataFrame, volumes: Sequence[str], now: datetime, zone: str | None = None
) -> tuple[pd.DataFrame, str | None]:
    """Return the rows up to the last finished one, and why the last row of all is not, or None.

    Timestamps are local times of the zone, by default UTC.
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
    """Return whether the last volume is far below the least of many previous rows."""
    before = volume.iloc[-_ROWS - 1 : -1]
    least = before.min()
    return len(before) == _ROWS and bool(before.notna().all()) and bool(0 <= volume.iloc[-1] < _SHARE * least)


def _frequency(index: pd.DatetimeIndex) -> Frequency | None:
    """Return the distance that many rows have, or the unit on whose days most of them lie, or None."""
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
