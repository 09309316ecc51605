"""Finds a file's columns of assets and timestamps, as named by the user or by their usual names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from kallos.errors import DataError, UsageError
from kallos.features.files.date_formats import EPOCHS, are_written_as_days, as_text, clock_format, joined
from kallos.features.files.layouts import ASSET_NAMES, TIMESTAMP_NAMES, names_of
from kallos.features.files.sources import RawTable
from kallos.features.files.timestamps import TimestampReading
from kallos.words import did_you_mean

_CLOCK_DIRECTIVE = re.compile(r"%[HIMSfpXcTR]")


@dataclass(frozen=True)
class TimestampColumn:
    """A file's unparsed timestamps from one or two `columns`, and how to read them; `note` says what was detected."""

    columns: tuple[str, ...]
    written: pa.ChunkedArray
    reading: TimestampReading
    note: str | None

    @property
    def name(self) -> str:
        """The columns for messages."""
        return ",".join(self.columns)


def own_name(table: RawTable, wanted: str, flag: str) -> str:
    """Return the file's spelling of a column's name, or raise `UsageError`."""
    by_folded = {name.lower(): name for name in table.columns}
    if wanted in table.columns:
        return wanted
    if wanted.strip().lower() not in by_folded:
        raise UsageError(f"column {wanted!r} of {flag} is not in {table.name}: {did_you_mean(wanted, table.columns)}")
    return by_folded[wanted.strip().lower()]


def asset_column(table: RawTable, named: str | None) -> str | None:
    """Return the column of assets, or None if there is none; raises as `find_timestamp_column` does."""
    if named is not None:
        return own_name(table, named, "`asset_column`")
    found = _usual(table, ASSET_NAMES)
    if len(found) > 1:
        raise DataError(_which(table, found, "`asset_column`"))
    return found[0] if found else None


def find_timestamp_column(table: RawTable, named: str | None, reading: TimestampReading) -> TimestampColumn | None:
    """Return the timestamps, or None if no column has a usual name.

    Raises `UsageError` for a named column that does not exist, and `DataError` if several columns have usual names.
    """
    columns = _named(table, named) if named is not None else _usual(table, TIMESTAMP_NAMES)
    if not columns:
        return None
    if len(columns) > 1 and named is None and not _complete_each_other(table, columns):
        raise DataError(
            f"{_which(table, columns, '`timestamp_column`')}, or a date and its time of day as `timestamp_column` "
            f"date,time"
        )
    if len(columns) == 1:
        written = table.columns[columns[0]]
    else:
        written = joined(*(table.columns[name] for name in columns))
        reading = _with_clock(reading, table.columns[columns[1]])
    completed = reading.completed(written)
    return TimestampColumn(tuple(columns), written, completed, _note(columns, completed))


def _usual(table: RawTable, names: Sequence[str]) -> list[str]:
    by_folded = {name.lower(): name for name in table.columns}
    return [by_folded[name] for name in names if name in by_folded]


def _which(table: RawTable, found: Sequence[str], flag: str) -> str:
    return f"{flag} is ambiguous: {table.name} has {' and '.join(found)}; name one as {flag}"


def _named(table: RawTable, named: str) -> list[str]:
    flag = "`timestamp_column`"
    several = names_of(named)
    if named in table.columns or len(several) == 1:
        return [own_name(table, named, flag)]
    if len(several) != 2:
        raise UsageError(f"{flag} must name one column, or a date and its time of day as in date,time, not {named!r}")
    return [own_name(table, name, flag) for name in several]


def _complete_each_other(table: RawTable, columns: Sequence[str]) -> bool:
    """Return whether the columns are exactly a date and its time of day."""
    if [name.lower() for name in columns] != ["date", "time"]:
        return False
    dates, clocks = (as_text(table.columns[name]) for name in columns)
    return are_written_as_days(dates) and clock_format(clocks) is not None


def _with_clock(reading: TimestampReading, clocks: pa.ChunkedArray) -> TimestampReading:
    """Return the reading with the format of the times of day added, if the given format is of dates only."""
    given = reading.date_format
    if given is None or given in EPOCHS or _CLOCK_DIRECTIVE.search(given):
        return reading
    found = clock_format(as_text(clocks))
    return reading if found is None else replace(reading, date_format=f"{given} {found}")


def _note(columns: Sequence[str], reading: TimestampReading) -> str | None:
    how = reading.date_format if reading.is_found else None
    if how in EPOCHS:
        return f"column {columns[0]!r} is read as {EPOCHS[how][0]} since 1970 (`date_format` {how})"
    if len(columns) > 1:
        together = f"timestamps are the columns {' and '.join(map(repr, columns))} together"
        return f"{together}, read as `date_format` {reading.date_format!r}" if reading.date_format else together
    return None if how is None else f"column {columns[0]!r} is read as `date_format` {how!r}"
