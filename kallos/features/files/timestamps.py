"""Reads the timestamps of files: ISO dates, other formats, epochs, or Parquet's types."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kallos.errors import DataError, UsageError
from kallos.features.dates import FIRST_MOMENT, LAST_MOMENT
from kallos.features.files.date_formats import EPOCHS, PLAUSIBLE, as_text, found_format, moments_of_epochs
from kallos.features.files.sources import is_text
from kallos.features.local_days import OFFSET, are_days, days_of, days_or_moments
from kallos.specs.time_zones import check_zone

_FIRST, _LAST = np.datetime64(FIRST_MOMENT), np.datetime64(LAST_MOMENT)
_NUMBER = r"^[+-]?\d+(\.\d*)?$"
_ISO = r"^\d{4}-\d{2}"
_FORMAT_RULE = f"`date_format` must be like %d/%m/%Y, or one of {', '.join(EPOCHS)}"
_SAY_NUMBERS = f"say what the numbers mean with `date_format`: {', '.join(EPOCHS)}, or a format like %Y%m%d"


@dataclass(frozen=True)
class TimestampReading:
    """How timestamps are read.

    Timestamps without an offset are in `timezone` (UTC if None). `date_format` is a strftime format, or an epoch such
    as `epoch-ms`, in UTC; None means ISO dates or detect. A detected format (`is_found`) must give plausible dates.
    Timestamps that are all midnight in `days_in` (their own zone if None) are days, and keep their dates.
    """

    timezone: str | None = None
    date_format: str | None = None
    days_in: str | None = None
    is_found: bool = False

    def __post_init__(self) -> None:
        """Raise `UsageError` for an unknown time zone or an invalid format."""
        for flag, zone in (("`timezone`", self.timezone), ("`days_in`", self.days_in)):
            try:
                check_zone("UTC" if zone is None else zone)
            except ValueError as error:
                raise UsageError(f"{flag} {error}") from None
        if self.date_format is not None and self.date_format not in EPOCHS:
            if "%" not in self.date_format:
                raise UsageError(f"{_FORMAT_RULE}, not {self.date_format!r}")
            try:
                pd.to_datetime(pd.Series([""]), format=self.date_format, errors="coerce")
            except ValueError as error:
                raise UsageError(f"{_FORMAT_RULE}, not {self.date_format!r}: {str(error).splitlines()[0]}") from None

    def completed(self, timestamps: pa.ChunkedArray) -> "TimestampReading":
        """Return the reading with the detected format, if none is given."""
        kind = timestamps.type
        found = found_format(timestamps) if self.date_format is None and (is_text(kind) or _is_number(kind)) else None
        return self if found is None else replace(self, date_format=found, is_found=True)


@dataclass(frozen=True)
class UnfitTimestamps:
    """Rows whose timestamp breaks a rule."""

    rule: str
    unfit: np.ndarray
    remedy: str


def read_timestamps(
    column: pa.ChunkedArray, name: str, where: str, reading: TimestampReading
) -> tuple[np.ndarray, list[UnfitTimestamps], bool]:
    """Return a column's moments in UTC (datetime64[us], NaT if unfit), what is unfit, and whether they are local days.

    Local days are days of another zone than UTC, and keep their dates. Raises `DataError` for a column without dates,
    or with UTC offsets in some rows only, and `UsageError` if `days_in` does not fit.
    """
    if _is_number(column.type) and reading.date_format is not None:
        column = as_text(column)
    kind = column.type
    if is_text(kind):
        moments, zoned, unfit = _from_text(column.cast(pa.large_string()), name, reading)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments, unfit = _from_moments(column, name)
        zoned = np.full(len(moments), getattr(kind, "tz", None) is not None)
    else:
        holds = f"numbers such as {column[0].as_py()}" if _is_number(kind) and len(column) else str(kind)
        remedy = _SAY_NUMBERS if _is_number(kind) else "convert it to dates"
        raise DataError(f"column {name!r} must hold dates such as 2024-01-02: {where} holds {holds}; {remedy}")
    _refuse_mixed(moments, zoned, name, where)
    dates, utc, unfit_here = _days_or_moments(column, moments, zoned, reading)
    return dates, unfit + unfit_here, bool((dates != utc)[~np.isnat(dates)].any())


def _days_or_moments(
    column: pa.ChunkedArray, moments: np.ndarray, zoned: np.ndarray, reading: TimestampReading
) -> tuple[np.ndarray, np.ndarray, list[UnfitTimestamps]]:
    """Return dates for timestamps that are days and else moments in UTC; the moments in UTC; and what is unfit."""
    utc, index = moments, pd.DatetimeIndex(moments)
    unfit: list[UnfitTimestamps] = []
    if reading.timezone is None or (zoned & ~np.isnat(moments)).any():
        dates = days_or_moments(_as_zoned(column, index, zoned), index, reading.days_in)
    else:
        utc, unfit = _to_utc(moments, reading.timezone)
        if reading.days_in is None and are_days(index):
            # A day is a day even if the clocks skip its midnight.
            return moments, utc, []
        dates = days_of(pd.DatetimeIndex(utc), reading.days_in or "UTC")
    return dates.to_numpy().astype("datetime64[us]"), utc, unfit


def _as_zoned(column: pa.ChunkedArray, index: pd.DatetimeIndex, zoned: np.ndarray) -> pd.Series:
    """Return timestamps with their own zone or offset, if they have one and it is known."""
    if not zoned.any():
        return pd.Series(index)
    if not pa.types.is_timestamp(column.type):
        return pd.Series(column.to_pandas().to_numpy(object))
    try:
        return pd.Series(index.tz_localize("UTC").tz_convert(column.type.tz))
    except (ValueError, LookupError, OSError):
        return pd.Series(index)


def _from_text(
    column: pa.ChunkedArray, name: str, reading: TimestampReading
) -> tuple[np.ndarray, np.ndarray, list[UnfitTimestamps]]:
    text = pc.utf8_trim_whitespace(column)
    missing = _mask(pc.equal(text, ""), null=True)
    epoch = reading.date_format if reading.date_format in EPOCHS else None
    if reading.date_format is None:
        numbers = _mask(pc.match_substring_regex(text, _NUMBER))
        readable = _mask(pc.match_substring_regex(text, _ISO))
        zoned = _mask(pc.match_substring_regex(text, OFFSET))
        example = "dates such as 2024-01-02"
    else:
        numbers = np.zeros(len(text), bool)
        # pandas reads these two words as the current time, whatever the format.
        readable = ~missing & ~_mask(pc.is_in(pc.utf8_lower(text), pa.array(["now", "today"], pa.large_string())))
        zoned = np.full(len(text), epoch is not None or "%z" in reading.date_format.lower())
        example = _example(reading)
    if epoch is not None:
        moments = moments_of_epochs(text, epoch, plausible=reading.is_found)
    else:
        written = text.to_numpy(zero_copy_only=False).astype(object)
        written[~readable] = None
        parsed = pd.to_datetime(
            pd.Series(written, dtype=object), format=reading.date_format or "ISO8601", utc=True, errors="coerce"
        )
        moments = parsed.dt.tz_localize(None).to_numpy()
    unread = np.isnat(moments) & ~missing
    remedy = "correct it" if reading.date_format is not None else "correct it, or give `date_format`"
    if reading.is_found:
        remedy = "write all in one format, ingest others separately, or give `date_format`"
    unfit = [
        UnfitTimestamps("every row must have a date", missing, "fill it in"),
        UnfitTimestamps(f"column {name!r} must hold {example}, not numbers", numbers, _SAY_NUMBERS),
        UnfitTimestamps(f"column {name!r} must hold {example}", unread & ~numbers, remedy),
    ]
    moments, out_of_reach = _within_reach(moments, name)
    return moments, zoned, unfit + out_of_reach


def _example(reading: TimestampReading) -> str:
    if not reading.is_found:
        return f"dates in `date_format` {reading.date_format}"
    if reading.date_format in EPOCHS:
        return f"{EPOCHS[reading.date_format][0]} since 1970 in the years {PLAUSIBLE}, like its first rows"
    return f"dates like its first rows ({reading.date_format})"


def _from_moments(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, list[UnfitTimestamps]]:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    missing = _mask(column.is_null())
    since_1970 = column.cast(pa.int64()).fill_null(0).to_numpy()
    moments = since_1970.astype(f"datetime64[{column.type.unit}]")
    moments[missing] = np.datetime64("NaT")
    moments, out_of_reach = _within_reach(moments, name)
    return moments, [UnfitTimestamps("every row must have a date", missing, "fill it in"), *out_of_reach]


def _within_reach(moments: np.ndarray, name: str) -> tuple[np.ndarray, list[UnfitTimestamps]]:
    known = ~np.isnat(moments)
    far = known & ((moments < _FIRST) | (moments >= _LAST))
    moments = np.where(far, np.datetime64("NaT"), moments)
    whole = moments.astype("datetime64[us]")
    fine = known & ~far & (whole != moments)
    whole[fine] = np.datetime64("NaT")
    return whole, [
        UnfitTimestamps(f"column {name!r} must hold dates between 1678 and 2261", far, "correct it"),
        UnfitTimestamps(
            f"column {name!r} must hold whole microseconds, since databases store no finer ones", fine, "round it"
        ),
    ]


def _refuse_mixed(moments: np.ndarray, zoned: np.ndarray, name: str, where: str) -> None:
    known = ~np.isnat(moments)
    if (known & zoned).any() and (known & ~zoned).any():
        raise DataError(
            f"either all timestamps must have a UTC offset or none: column {name!r} of {where} has "
            f"{int((known & zoned).sum())} rows with one and {int((known & ~zoned).sum())} without; write them alike"
        )


def _to_utc(moments: np.ndarray, timezone: str) -> tuple[np.ndarray, list[UnfitTimestamps]]:
    local = pd.DatetimeIndex(moments)
    zoned = local.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    unfit = np.asarray(zoned.isna()) & ~np.isnat(moments)
    # A time that exists if daylight saving time is assumed happened twice.
    twice = unfit.copy()
    twice[unfit] = ~np.asarray(
        local[unfit].tz_localize(timezone, ambiguous=np.ones(unfit.sum(), bool), nonexistent="NaT").isna()
    )
    remedy = "write it with its UTC offset"
    return zoned.tz_convert(None).to_numpy().astype("datetime64[us]"), [
        UnfitTimestamps(
            f"a local time must be unambiguous in {timezone}, and clocks went back over this one", twice, remedy
        ),
        UnfitTimestamps(
            f"a local time must exist in {timezone}, and clocks went forward over this one", unfit & ~twice, remedy
        ),
    ]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _mask(condition: Any, *, null: bool = False) -> np.ndarray:
    return np.asarray(condition.fill_null(null).to_numpy(), bool)


def as_written(column: pa.ChunkedArray, row: int) -> object:
    """Return a timestamp as the file has it, even beyond the reach of Python's dates."""
    scalar = column[row]
    kind = scalar.type
    if not scalar.is_valid or not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return scalar.as_py()
    unit: Any = kind.unit if pa.types.is_timestamp(kind) else {32: "D", 64: "ms"}[kind.bit_width]
    return str(np.datetime64(scalar.value, unit)).replace("T", " ")
