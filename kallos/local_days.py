"""Days of a zone: stamps that are all midnight there are dates, and no moments of UTC."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

import pandas as pd

from kallos.errors import UsageError

_OFFSET = re.compile(r"[T ]\d{2}.*([+-])(\d{2}):?(\d{2})?$")
_DAY = pd.Timedelta(days=1)
# Offsets from UTC are whole quarters of an hour.
_QUARTER = pd.Timedelta(minutes=15)
# Days of zones that share a midnight are the same dates: whichever of them is named, and these are well known.
_WELL_KNOWN = ("America/New_York", "America/Chicago", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Shanghai")


def are_days(local: pd.DatetimeIndex) -> bool:
    """Return whether local times (NaT: none) are days: all of them midnight, and one at least.

    What follows the last of several midnights within a day may be a bar that is not over yet, as Yahoo's last row is.
    """
    local = local[local.notna()]
    is_midnight = local == local.normalize()
    days, rest = local[is_midnight], local[~is_midnight]
    if not len(rest) or not len(days):
        return len(days) > 0
    return bool(days.nunique() > 1 and rest.min() > days.max() and rest.max() < days.max() + _DAY)


def local_times(moments: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    """Return moments in UTC as a zone's clocks show them, but for days whose midnight they skip: those begin at it."""
    utc = moments.tz_localize("UTC")
    local = utc.tz_convert(zone).tz_localize(None)
    just_before = (utc - pd.Timedelta(microseconds=1)).tz_convert(zone).tz_localize(None)
    return local.where(just_before.normalize() == local.normalize(), local.normalize())


def own_local_times(stamps: pd.Series, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return stamps, whose moments in UTC are given, as the clocks of their own zone or offset show them."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return local_times(moments, str(stamps.dt.tz))
    if stamps.dtype.kind in "iufbcmM":
        return moments
    offsets = pd.to_timedelta([0 if pd.isna(stamp) else _offset(stamp) for stamp in stamps], unit="s")
    return moments + offsets


def days_or_moments(stamps: pd.Series, moments: pd.DatetimeIndex, days_in: str | None = None) -> pd.DatetimeIndex:
    """Return the dates of stamps that are days of a zone, by default of their own, and the moments in UTC of others.

    Raises `UsageError` if they are not days of the zone that is named.
    """
    if days_in is None:
        # Only moments that could be midnight somewhere are worth a look at each stamp.
        local = own_local_times(stamps, moments) if _are_on_quarters(moments) else moments
        return local if are_days(local) else moments
    return days_of(moments, days_in)


def days_of(moments: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    """Return moments in UTC as the days of a zone, or raise `UsageError` if they are none; any are fit for UTC."""
    local = local_times(moments, zone)
    known = moments.notna()
    if are_days(local) or (local == moments)[known].all():
        return local
    odd = local[known & (local != local.normalize())]
    raise UsageError(
        f"`days_in` must be a zone whose days begin at the timestamps, and in {zone} {len(odd)} of "
        f"{known.sum()} are no midnight, such as {odd[0]}: name theirs, or leave it out"
    )


def zone_of_days(moments: pd.DatetimeIndex) -> str | None:
    """Return a zone in which sorted moments of UTC are days, None where they are so in UTC, or nowhere."""
    if len(moments) < 3 or not _are_on_quarters(moments) or are_days(moments):
        return None
    if (moments[1:] - moments[:-1]).min() < _DAY - pd.Timedelta(hours=2):
        return None
    few = moments[:: max(len(moments) // 50, 1)]
    zones = (*_WELL_KNOWN, *sorted(available_timezones() - {*_WELL_KNOWN}))
    return next(
        (zone for zone in zones if are_days(local_times(few, zone)) and are_days(local_times(moments, zone))), None
    )


def _are_on_quarters(moments: pd.DatetimeIndex) -> bool:
    """Return whether most moments are on quarters of an hour: bars that are not over yet may be on none."""
    known = moments[moments.notna()]
    return 2 * int((known == known.floor(_QUARTER)).sum()) > len(known)


def _offset(stamp: Any) -> float:
    """Return a stamp's offset from UTC in seconds, 0 where it has none."""
    if isinstance(stamp, datetime):
        offset = stamp.utcoffset()
        return 0 if offset is None else offset.total_seconds()
    found = _OFFSET.search(str(stamp).strip())
    if found is None:
        return 0
    sign, hours, minutes = found.groups()
    return (int(hours) * 3600 + int(minutes or 0) * 60) * (-1 if sign == "-" else 1)
