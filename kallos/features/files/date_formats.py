"""Detects how timestamps are written: a strftime format or an epoch."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Numbers since 1970: the name of the format, the unit, and the number of units in a second.
EPOCHS = {
    "epoch-s": ("seconds", 1),
    "epoch-ms": ("milliseconds", 10**3),
    "epoch-us": ("microseconds", 10**6),
    "epoch-ns": ("nanoseconds", 10**9),
}
# In these years a number has only one meaning: no other unit fits, nor a date such as 20240102 (of 1800 to 2100).
_SINCE, _UNTIL = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1980, 2101))
PLAUSIBLE = "1980 to 2100"

_NONE = pa.scalar(None, pa.large_string())
# Nanoseconds since 1970 that fit 64 bits.
_REACH = 9.2e18
_SAMPLE = 25
_NUMBER = re.compile(r"\d{9,19}(\.\d*)?")
_YEAR = r"(1[89]\d\d|20\d\d|2100)"
# A date with the year first is not ambiguous.
_DAYS = (
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (rf"{_YEAR}\d{{4}}", "%Y%m%d"),
)
_OTHER_DAYS = ((r"\d{1,4}-\d{1,2}-\d{1,4}", ""), (r"\d{1,2}([./])\d{1,2}\1\d{2,4}", ""))
_CLOCKS = (
    (r"\d{1,2}:\d{2}", "%H:%M"),
    (r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"\d{1,2}:\d{2}:\d{2}\.\d{1,6}", "%H:%M:%S.%f"),
    (r"\d{4}", "%H%M"),
    (r"\d{6}", "%H%M%S"),
)
_FORMATS = [
    *_DAYS,
    *((rf"{day} {clock}", f"{day_is} {clock_is}") for day, day_is in _DAYS for clock, clock_is in _CLOCKS),
    *((rf"{_YEAR}\d{{4}}{clock}", f"%Y%m%d{clock_is}") for clock, clock_is in _CLOCKS[3:]),
]


def found_format(timestamps: pa.ChunkedArray) -> str | None:
    """Return the format of most of the first timestamps, or None if they are ISO dates or unknown.

    Numbers are read as the epoch that puts them in the years 1980 to 2100, or as dates such as 20240102.
    """
    votes = Counter(_format_of(timestamp) for timestamp in _first_known(timestamps))
    return votes.most_common(1)[0][0] if votes else None


def clock_format(clocks: pa.ChunkedArray) -> str | None:
    """Return the format of most of the first times of day, or None if they are not times of day."""
    votes = Counter(_first_match(_CLOCKS, clock) for clock in _first_known(_with_zeros(clocks)))
    return votes.most_common(1)[0][0] if votes else None


def are_written_as_days(timestamps: pa.ChunkedArray) -> bool:
    """Return whether the first timestamps are dates without a time of day."""
    known = _first_known(timestamps)
    return bool(known) and all(_first_match((*_DAYS, *_OTHER_DAYS), timestamp) is not None for timestamp in known)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return timestamps as text, with whole numbers as plain digits and midnights as dates."""
    kind = column.type
    if pa.types.is_floating(kind):
        # Arrow writes large floats with an exponent.
        finite = pc.if_else(pc.less(pc.abs(column), 1e25), column, pa.scalar(None, kind))
        column = pc.round(finite, 6).cast(pa.decimal128(38, 6), safe=False)
        column = pc.replace_substring_regex(column.cast(pa.large_string()), r"\.0*$", "")
    elif pa.types.is_timestamp(kind):
        days = column.cast(pa.date32(), safe=False)
        column = days if pc.all(pc.equal(days.cast(kind), column)).as_py() else column
    return pc.utf8_trim_whitespace(column.cast(pa.large_string()))


def joined(dates: pa.ChunkedArray, clocks: pa.ChunkedArray) -> pa.ChunkedArray:
    """Join dates and times of day; a row is missing if either is."""
    days, times = as_text(dates), _with_zeros(clocks)
    both = pc.binary_join_element_wise(days, times, pa.scalar(" ", pa.large_string()))
    is_missing = pc.or_(pc.equal(days, ""), pc.equal(times, ""))
    return pc.if_else(is_missing, _NONE, both)


def _with_zeros(clocks: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times of day as text, with the leading zeros that numbers lose: 93000 is 093000."""
    times = as_text(clocks)
    is_written = pc.match_substring_regex(times, r"^\d{1,6}$")
    has_seconds = pc.any(pc.and_(is_written, pc.greater(pc.utf8_length(times), 4))).as_py()
    return pc.if_else(is_written, pc.utf8_lpad(times, 6, "0"), times) if has_seconds else times


def moments_of_epochs(timestamps: pa.ChunkedArray, epoch: str, *, plausible: bool) -> np.ndarray:
    """Return numbers since 1970 as datetime64[ns], NaT if unreadable or beyond the reach of nanoseconds.

    With `plausible`, years other than 1980 to 2100 are unreadable too.
    """
    _, each_second = EPOCHS[epoch]
    is_number = pc.match_substring_regex(timestamps, r"^-?\d{1,19}(\.\d*)?$").fill_null(False)
    numbers = pc.if_else(is_number, timestamps, _NONE)
    since = numbers.cast(pa.float64()).fill_null(np.nan).to_numpy()
    fits = np.abs(since) * (10**9 / each_second) < _REACH
    if plausible:
        fits &= (since >= _SINCE * each_second) & (since < _UNTIL * each_second)
    numbers = pc.if_else(pa.chunked_array([fits]), numbers, pa.scalar("0", pa.large_string()))
    whole = pc.replace_substring_regex(numbers, r"\..*$", "").cast(pa.int64()).to_numpy()
    # The digits after the point, in billionths of the unit.
    behind = pc.utf8_slice_codeunits(pc.replace_substring_regex(numbers, r"^[^.]*\.?", ""), 0, 9)
    parts = pc.utf8_rpad(behind, 9, "0").cast(pa.int64()).to_numpy()
    sign = np.where(since < 0, -1, 1)
    moments = (whole * (10**9 // each_second) + sign * (parts // each_second)).astype("datetime64[ns]")
    return np.where(fits, moments, np.datetime64("NaT"))


def _format_of(timestamp: str) -> str | None:
    if _NUMBER.fullmatch(timestamp):
        for name, (_, each_second) in EPOCHS.items():
            if _SINCE <= float(timestamp) / each_second < _UNTIL:
                return name
    return _first_match(_FORMATS, timestamp)


def _first_match(formats: Any, text: str) -> str | None:
    return next((is_format for pattern, is_format in formats if re.fullmatch(pattern, text)), None)


def _first_known(column: pa.ChunkedArray) -> list[str]:
    text = as_text(column.slice(0, 40 * _SAMPLE))
    return [each for each in text.to_pylist() if each][:_SAMPLE]
