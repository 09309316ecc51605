"""The last row of a table that is filled while its time runs: what it holds is not what it will hold."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from kallos.errors import pasteable

_FEWEST_ROWS = 10
# Rows keep to a distance if it is that of so many of them.
_USUAL = 0.4
_DAY = pd.Timedelta(days=1)
_MONTH = pd.Timedelta(days=28)
# A volume below this share of the least of so many rows before is that of a part of a row's time; half a day of
# trading, such as that behind a holiday, has more.
_SHARE, _ROWS = 0.25, 60


def is_off_clock(index: pd.Index) -> bool:
    """Return whether the last row lies nearer to the one before it than any other, of rows that keep to a distance.

    Such a row is stamped with the moment at which it was asked for, and is no step of its own.
    """
    if not isinstance(index, pd.DatetimeIndex) or len(index) < _FEWEST_ROWS:
        return False
    distances = np.diff(index.asi8)
    others = distances[:-1]
    return bool(0 < distances[-1] < others.min()) and _keep_to_one(others)


def without_off_clock(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows without a last one that is off their clock."""
    return frame.iloc[:-1] if is_off_clock(frame.index) else frame


def ends_after(index: pd.Index, now: datetime | None) -> pd.Timestamp | None:
    """Return the end of the last row's time if it lies behind `now` (in UTC if it has no zone), or None.

    A row's time begins with its stamp and lasts until the next one could come; that of a row which is stamped with the
    last day of a week or month ends with that day.
    """
    if now is None or not isinstance(index, pd.DatetimeIndex) or len(index) < _FEWEST_ROWS:
        return None
    moment = _without_zone(now)
    distances = np.diff(index.asi8)
    if not _keep_to_one(distances):
        return None
    end = _end(index, pd.Timedelta(int(pd.Series(distances).mode().iloc[0]), unit=index.unit))
    return end if moment < end else None


def why_unfinished(frame: pd.DataFrame, volumes: Sequence[str], now: datetime | None) -> str | None:
    """Return in words why the last row seems to be unfinished, or None; `volumes` are the columns of volumes."""
    end = ends_after(frame.index, now)
    if end is not None:
        return f"is not over before {end} (UTC)"
    thin = next((name for name in volumes if is_thin(frame[name])), None)
    return (
        None if thin is None else f"holds a part of its volume alone ({pasteable(thin)} is {frame[thin].iloc[-1]:.6g})"
    )


def finished_rows(frame: pd.DataFrame, volumes: Sequence[str], now: datetime) -> tuple[pd.DataFrame, str | None]:
    """Return the rows up to the last one that seems to be finished, and why the last one of all is not, or None."""
    past = frame
    if isinstance(frame.index, pd.DatetimeIndex):
        past = frame.iloc[: int(frame.index.searchsorted(_without_zone(now), side="right"))]
    why = why_unfinished(past, volumes, now)
    finished = past if why is None else past.iloc[:-1]
    return finished, why if len(past) == len(frame) else "lies in the future"


def is_thin(volume: pd.Series) -> bool:
    """Return whether the last volume is far below the least of many rows before it."""
    before = volume.iloc[-_ROWS - 1 : -1]
    least = before.min()
    return len(before) == _ROWS and bool(before.notna().all()) and bool(0 <= volume.iloc[-1] < _SHARE * least)


def _without_zone(now: datetime) -> pd.Timestamp:
    moment = pd.Timestamp(now)
    return moment if moment.tz is None else moment.tz_convert("UTC").tz_localize(None)


def _keep_to_one(distances: np.ndarray) -> bool:
    _, counts = np.unique(distances, return_counts=True)
    return bool(counts.max() >= _USUAL * len(distances))


def _end(index: pd.DatetimeIndex, distance: pd.Timedelta) -> pd.Timestamp:
    last, recent = index[-1], index[-_FEWEST_ROWS:-1]
    is_last_day = recent.is_month_end.all() if distance >= _MONTH else (recent.dayofweek >= 4).all()
    if distance >= 7 * _DAY and is_last_day:
        return last.normalize() + _DAY
    if distance >= _MONTH:
        return last + pd.DateOffset(months=round(distance / pd.Timedelta(days=30.44)))
    return last + distance
