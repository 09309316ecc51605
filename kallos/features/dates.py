"""The start and end of the rows requested, parsed: timestamps, integers, and text for a query's parameters."""

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from kallos.errors import UsageError
from kallos.specs.data import DataSpec

# Rows are read with nanosecond timestamps, which reach no further.
FIRST_MOMENT, LAST_MOMENT = datetime(1678, 1, 1), datetime(2262, 1, 1)


def bounds(spec: DataSpec, *, has_dates: bool) -> tuple[Any, Any]:
    """Return the first and last row of a specification; see `date_bounds`."""
    return date_bounds(spec.start_date, spec.end_date, has_dates=has_dates)


def utc_bounds(spec: DataSpec) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return the first and last moment in UTC, with dates in the specification's zone."""
    start, end = bounds(spec, has_dates=True)
    return _to_utc(start, spec), _to_utc(end, spec)


def date_bounds(first: str | None, last: str | None, *, has_dates: bool, prefix: str = "") -> tuple[Any, Any]:
    """Return the first and last row, both inclusive: timestamps in UTC, integers, or None if not given.

    `prefix` goes before the names `start_date` and `end_date` in messages. Raises `UsageError` for an invalid date, or
    a start after the end.
    """
    parse = _moment if has_dates else _whole
    start, end = parse(first, f"{prefix}start"), parse(last, f"{prefix}end")
    if start is not None and end is not None and start > end:
        raise UsageError(f"`{prefix}start_date` {first} must not be after `{prefix}end_date` {last}")
    return start, end


def bound_texts(spec: DataSpec) -> tuple[str, str]:
    """Return the first and last row as a query's parameters: ISO text in UTC, or integers as text.

    SQLite compares timestamps as text. The start is therefore written as short and the end as long as possible, so that
    dates, and times with seconds or microseconds, all lie between them.
    """
    start, end = spec.start_date, spec.end_date
    if not _is_whole(start):
        moment = _to_utc(_moment(start, "start"), spec)
        start = "0001-01-01" if moment is None else _shortest(moment)
    if not _is_whole(end):
        moment = _to_utc(_moment(end, "end"), spec)
        end = "9999-12-31" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    return str(start), str(end)


def _to_utc(moment: pd.Timestamp | None, spec: DataSpec) -> pd.Timestamp | None:
    if moment is None or spec.days_in is None:
        return moment
    local = moment.to_pydatetime().replace(tzinfo=ZoneInfo(spec.days_in))
    return pd.Timestamp(local.astimezone(UTC).replace(tzinfo=None))


def _shortest(moment: pd.Timestamp) -> str:
    text = f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    return text.removesuffix(".000000").removesuffix(" 00:00:00")


def _is_whole(text: str | None) -> bool:
    """Return whether a bound is an integer, and not a date in the basic format (20230930)."""
    return text is not None and not _is_iso(datetime, text) and text.strip().lstrip("+-").isdecimal()


def _is_iso(kind: type[date], text: str) -> bool:
    try:
        kind.fromisoformat(text)
    except ValueError:
        return False
    return True


def _moment(text: str | None, which: str) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{which}_date` must be an ISO date such as 2023-09-30, not {text!r}") from None
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(UTC).replace(tzinfo=None)
    if which.endswith("end") and _is_iso(date, text):
        parsed = datetime.combine(parsed, time.max)
    return pd.Timestamp(min(max(parsed, FIRST_MOMENT), LAST_MOMENT))


def _whole(text: str | None, which: str) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise UsageError(
            f"`{which}_date` must be an integer, since the rows are indexed by integers, not {text!r}"
        ) from None
