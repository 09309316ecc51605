"""Days of a time zone: timestamps that are all midnight there are dates, not moments in UTC."""

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kallos.errors import UsageError

# The UTC offset of a timestamp, after its time of day.
OFFSET = r"[T ]\d{2}.*(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_DAY = pd.Timedelta(days=1)
# UTC offsets are multiples of a quarter of an hour.
_QUARTER = pd.Timedelta(minutes=15)
# Zones that share a midnight give the same dates, so the best known one is named.
_WELL_KNOWN = (
    "America/New_York",
    "America/Chicago",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Tokyo",
    "Asia/Shanghai",
    "Australia/Sydney",
)


def are_days(local: pd.DatetimeIndex) -> bool:
    """Return whether local times, leaving out NaT, are days: at least one, and all midnight.

    After several midnights there may be times within the last day, such as Yahoo's row for the current day.
    """
    local = local[local.notna()]
    is_midnight = local == local.normalize()
    days, rest = local[is_midnight], local[~is_midnight]
    if not len(rest) or not len(days):
        return len(days) > 0
    return bool(days.nunique() > 1 and rest.min() > days.max() and rest.max() < days.max() + _DAY)


def local_times(moments: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    """Return moments in UTC as local times of a zone; a day whose midnight the clocks skip begins at midnight too."""
    utc = moments.tz_localize("UTC")
    local = utc.tz_convert(zone).tz_localize(None)
    just_before = (utc - pd.Timedelta(microseconds=1)).tz_convert(zone).tz_localize(None)
    return local.where(just_before.normalize() == local.normalize(), local.normalize())


def clock_of(now: datetime, zone: str | None = None) -> pd.Timestamp:
    """Return a moment (in UTC if it has no zone) as the local time of a zone, by default of UTC."""
    moment = pd.Timestamp(now)
    moment = moment.tz_localize("UTC") if moment.tz is None else moment
    return moment.tz_convert(zone or "UTC").tz_localize(None)


def own_local_times(timestamps: pd.Series, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return timestamps as local times of their own zone or offset; `moments` are the same in UTC."""
    if isinstance(timestamps.dtype, pd.DatetimeTZDtype):
        return local_times(moments, str(timestamps.dt.tz))
    if timestamps.dtype.kind in "iufbcmM":
        return moments
    return moments + pd.to_timedelta(np.nan_to_num(offsets_of(timestamps)), unit="s")


def offsets_of(timestamps: pd.Series) -> npt.NDArray[np.float64]:
    """Return the UTC offset in seconds of each timestamp that is text or a `datetime`, or NaN if it has none."""
    held = timestamps.to_numpy(object)
    offsets = np.full(len(held), np.nan)
    is_text = np.fromiter((isinstance(each, str) for each in held), bool, len(held))
    offsets[is_text] = _written_offsets(held[is_text])
    offsets[~is_text] = [_offset_of_moment(each) for each in held[~is_text]]
    return offsets


def days_or_moments(timestamps: pd.Series, moments: pd.DatetimeIndex, days_in: str | None = None) -> pd.DatetimeIndex:
    """Return the dates of timestamps that are days of a zone, by default their own, and else their moments in UTC.

    Raises `UsageError` if they are not days of the zone given.
    """
    if days_in is None:
        # Reading each offset is slow, and needed only if the moments could be midnight somewhere.
        local = own_local_times(timestamps, moments) if _are_on_quarters(moments) else moments
        return local if are_days(local) else moments
    return days_of(moments, days_in)


def days_of(moments: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    """Return moments in UTC as days of a zone, or raise `UsageError` if they are not; UTC accepts any."""
    local = local_times(moments, zone)
    known = moments.notna()
    if are_days(local) or (local == moments)[known].all():
        return local
    odd = local[known & (local != local.normalize())]
    raise UsageError(
        f"`days_in` must be a zone in which all timestamps are midnight, and in {zone} {len(odd)} of "
        f"{known.sum()} are not, such as {odd[0]}; give the right zone, or leave it out"
    )


def zone_of_days(moments: pd.DatetimeIndex) -> str | None:
    """Return a zone in which sorted moments in UTC are clearly days; None if they are days in UTC or in no zone.

    Any fixed time of day is midnight in some zone. So the zone must also explain why the time changes (daylight saving
    time), or why some rows fall on weekends in UTC (none does in the zone).
    """
    if len(moments) < 3 or not _are_on_quarters(moments) or are_days(moments):
        return None
    if (moments[1:] - moments[:-1]).min() < _DAY - pd.Timedelta(hours=2):
        return None
    times_change = (moments - moments.normalize())[:-1].nunique() > 1
    if not times_change and not _has_weekends(moments):
        return None
    few = moments[:: max(len(moments) // 50, 1)]
    zones = (*_WELL_KNOWN, *sorted(available_timezones() - {*_WELL_KNOWN}))
    return next((zone for zone in zones if are_days(local_times(few, zone)) and _explains(zone, moments)), None)


def _explains(zone: str, moments: pd.DatetimeIndex) -> bool:
    """Return whether moments in UTC are days of a zone, as its daylight saving time or its weekends show."""
    local = local_times(moments, zone)
    if not are_days(local):
        return False
    weekends, weekends_in_utc = _has_weekends(local), _has_weekends(moments)
    if weekends != weekends_in_utc:
        return weekends_in_utc
    return bool((local - moments)[local == local.normalize()].nunique() > 1)


def _has_weekends(timestamps: pd.DatetimeIndex) -> bool:
    return bool((timestamps.dayofweek >= 5).any())


def _are_on_quarters(moments: pd.DatetimeIndex) -> bool:
    """Return whether most moments are on quarters of an hour; a bar that is not over yet may not be."""
    known = moments[moments.notna()]
    return 2 * int((known == known.floor(_QUARTER)).sum()) > len(known)


def _written_offsets(texts: np.ndarray) -> npt.NDArray[np.float64]:
    # Many timestamps have few different offsets.
    text = pc.utf8_trim_whitespace(pa.array(texts, pa.large_string()))
    written = pc.struct_field(pc.extract_regex(text, OFFSET), "offset").to_pandas()
    seconds = {each: _in_seconds(each) for each in written.dropna().unique()}
    return np.asarray(written.map(seconds), np.float64)


def _in_seconds(offset: str) -> float:
    if offset in ("Z", "z"):
        return 0.0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1.0 if offset[0] == "-" else 1.0)


def _offset_of_moment(timestamp: Any) -> float:
    offset = timestamp.utcoffset() if isinstance(timestamp, datetime) and not pd.isna(timestamp) else None
    return np.nan if offset is None else offset.total_seconds()
