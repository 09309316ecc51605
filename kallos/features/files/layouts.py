"""Detects the layout of a CSV file from its first lines: separator, lines above the header, and header."""

import csv
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kallos.errors import DataError, UsageError
from kallos.words import shorten

# Usual names of the columns of timestamps, assets and prices.
TIMESTAMP_NAMES = ("timestamp", "date", "datetime", "time", "open_time", "open time")
ASSET_NAMES = ("asset_id", "asset", "symbol", "ticker")
BAR_NAMES = ("open", "high", "low", "close", "volume")
MISSING = ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>")
FIRST_LINES = 50

_SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
_VALUE = re.compile(r"[+-]?[\d.][\d\s.,:/TZ+-]*([eE][+-]?\d+)?")
_MOMENT = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}\b.*|\d{8}( \d{4,6})?|\d{9,19}(\.0*)?")
_DAY = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}|\d{8}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}.*|\d{4}|\d{6}")
# Binance's dumps of bars (klines), which have no header: https://github.com/binance/binance-public-data
_KLINES = (
    *("open_time", *BAR_NAMES, "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_LONGEST = 60


@dataclass(frozen=True)
class FileLayout:
    """The layout of CSV files as given by the user; None means detect.

    `skip_lines` is the number of lines above the header, and `header` names the columns of a file without one.
    """

    separator: str | None = None
    skip_lines: int | None = None
    header: tuple[str, ...] | None = None
    decimal_comma: bool = False

    def __post_init__(self) -> None:
        """Raise `UsageError` for an invalid separator, number of lines, or header."""
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n\0'):
            raise UsageError(f"`separator` must be one character, or tab, not {self.separator!r}")
        if self.skip_lines is not None and self.skip_lines < 0:
            raise UsageError(f"`skip_lines` must not be negative, as {self.skip_lines} is")
        if self.header is not None and not any(self.header):
            raise UsageError("`header` must list the column names, such as date,open,high,low,close,volume")


@dataclass(frozen=True)
class FoundLayout:
    """A file's layout: `lines_above`, then `header_rows`, then rows with a field for each of `names`.

    If the header names an asset for each column but the first, these are `assets`, and their line begins with
    `asset_level`. `notes` describe what is not a plain header and commas.
    """

    separator: str
    lines_above: int
    header_rows: int
    names: tuple[str, ...]
    assets: tuple[str, ...] = ()
    asset_level: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """A row of fields, and the numbers of its first and last line."""

    first: int
    last: int
    fields: tuple[str, ...]

    @property
    def filled(self) -> list[str]:
        return [field for field in self.fields if field]


@dataclass(frozen=True)
class _Reading:
    """A file's first rows, split by one separator: the rows above the header, and those from it on."""

    separator: str
    above: list[_Row]
    rows: list[_Row]

    @property
    def regular(self) -> float:
        """The share of the rows that have as many fields as the first."""
        widths = [len(row.fields) for row in self.rows]
        return sum(width == widths[0] for width in widths) / len(widths)


def find_layout(first_lines: Sequence[str], name: str, given: FileLayout) -> FoundLayout | None:
    """Return the layout of a file that begins with these lines, or None if they are empty.

    Raises `DataError` if two separators fit equally well, the header is missing, or it has several lines and none
    clearly names the assets; `UsageError` if `header` is given for a file that has one, or has another width.
    """
    read = _best_reading(first_lines, name, given)
    if read is None:
        return None
    above = given.skip_lines if given.skip_lines is not None else (read.above[-1].last if read.above else 0)
    notes = []
    if given.separator is None and read.separator != ",":
        notes.append(f"fields are separated by {_SEPARATORS[read.separator]}")
    if read.above and given.skip_lines is None:
        notes.append(_above(read.above))
    header, following = read.rows[0], read.rows[1:]
    is_header = _is_header(header, following)
    if given.header is not None:
        _refuse_unfit_header(given.header, header, read.separator, name, is_header=is_header)
        return FoundLayout(read.separator, above, 0, given.header, notes=tuple(notes))
    _refuse_line_above(read, name)
    if not is_header:
        names = _known_columns(read.rows)
        if names is None:
            raise DataError(
                f"columns must have names, and {name} has no header: line {header.first} is "
                f"{_begin(header, read.separator)}; name its {len(header.fields)} columns in order, such as `header` "
                f"{','.join(_likely_names(header.fields))}"
            )
        notes.append(
            f"there is no header: columns are read as Binance's klines, {', '.join(names)} (`header` gives other names)"
        )
        return FoundLayout(read.separator, above, 0, names, notes=tuple(notes))
    if _has_levels(read.rows):
        return _from_levels(read, above, notes, name)
    return FoundLayout(read.separator, above, 1, _bare(header.fields), notes=tuple(notes))


def names_of(text: str) -> tuple[str, ...]:
    """Split the comma-separated names of a flag, quoted as in a CSV file."""
    return tuple(name.strip() for name in next(csv.reader([text]), []))


def _best_reading(lines: Sequence[str], name: str, given: FileLayout) -> _Reading | None:
    separators = _SEPARATORS if given.separator is None else (given.separator,)
    readings = [read for each in separators if (read := _split(lines, each, given.skip_lines)) is not None]
    wide = [read for read in readings if len(read.rows[0].filled) > 1]
    if not wide:
        return readings[0] if readings else None
    ranked = sorted(wide, key=lambda read: (-read.regular, len(read.above)))
    if len(ranked) > 1 and all(
        (read.regular, len(read.above)) == (ranked[0].regular, len(ranked[0].above)) for read in ranked[:2]
    ):
        both = " as well as by ".join(_SEPARATORS[read.separator] for read in ranked[:2])
        raise DataError(
            f"a CSV file must have one separator: the fields of {name} may be separated by {both}; give `separator`"
        )
    return ranked[0]


def _split(lines: Sequence[str], separator: str, skip_lines: int | None) -> _Reading | None:
    rows = list(_rows(lines, separator, skip_lines or 0))
    n_above = 0
    if skip_lines is None:
        wide = next((at for at, row in enumerate(rows) if not _stands_above(row)), None)
        n_above = wide if wide is not None and len(rows[wide].filled) > 1 else 0
    return _Reading(separator, rows[:n_above], rows[n_above:]) if rows else None


def _rows(lines: Sequence[str], separator: str, skipped: int) -> Iterator[_Row]:
    reader = csv.reader(lines[skipped:], delimiter=separator)
    ended = 0
    try:
        for row in reader:
            began, ended = ended + 1, reader.line_num
            if any(field.strip() for field in row):
                yield _Row(skipped + began, skipped + ended, tuple(field.strip() for field in row))
    except csv.Error:
        # Reading the whole file raises the error.
        return


def _stands_above(row: _Row) -> bool:
    """Return whether a row may be a title: it has one field, which is not a value or a usual column name."""
    (only, *others) = row.filled
    return not others and not _VALUE.fullmatch(only) and only.lower() not in (*TIMESTAMP_NAMES, *ASSET_NAMES)


def _is_header(row: _Row, following: Sequence[_Row]) -> bool:
    """Return whether a row names columns: it has a usual name, no timestamp, or a word above a value."""
    if any(field.strip("<>").lower() in (*TIMESTAMP_NAMES, *ASSET_NAMES) for field in row.fields):
        return True
    if not any(_MOMENT.fullmatch(field) for field in row.fields):
        return True
    return any(
        field.lower() not in MISSING and not _VALUE.fullmatch(field) and _VALUE.fullmatch(below)
        for other in following
        for field, below in zip(row.fields, other.fields, strict=False)
    )


def _known_columns(rows: Sequence[_Row]) -> tuple[str, ...] | None:
    """Return the column names of klines, recognised by their width and because each bar ends before the next begins."""
    if any(len(row.fields) != len(_KLINES) or not all(map(_VALUE.fullmatch, row.fields)) for row in rows):
        return None
    try:
        spans = [(int(row.fields[0]), int(row.fields[6])) for row in rows]
    except ValueError:
        return None
    follow = all(end < after for (_, end), (after, _) in pairwise(spans))
    return _KLINES if follow and all(10**12 < start < end < 10**16 for start, end in spans) else None


def _has_levels(rows: Sequence[_Row]) -> bool:
    """Return whether the header has three lines: two levels of names, and the name of the first column."""
    if len(rows) < 3 or len(rows[0].fields) < 2:
        return False
    first, second, own = rows[:3]
    same_width = len(first.fields) == len(second.fields) >= len(own.fields)
    only_words = not any(map(_VALUE.fullmatch, second.fields))
    return same_width and only_words and len(own.filled) == 1 and bool(own.fields[0])


def _from_levels(read: _Reading, above: int, notes: list[str], name: str) -> FoundLayout:
    levels = [row.fields for row in read.rows[:2]]
    assets = [at for at, level in enumerate(levels) if level[0].lower() in ASSET_NAMES]
    bars = [at for at, level in enumerate(levels) if {"open", "close"} & {field.lower() for field in level[1:]}]
    of_assets = assets[0] if len(assets) == 1 else 1 - bars[0] if len(bars) == 1 else None
    if of_assets is None:
        raise DataError(
            f"a header of several lines must show which line names the assets, and lines {read.rows[0].first} and "
            f"{read.rows[1].first} of {name} do not; begin that line with Ticker, or write one line"
        )
    found = levels[of_assets][1:]
    names = (read.rows[2].fields[0], *levels[1 - of_assets][1:])
    each = list(dict.fromkeys(found))
    notes.append(f"the header has three lines, one of which names the assets: {shorten(each, 12)}")
    level = levels[of_assets][0] or "Ticker"
    return FoundLayout(read.separator, above, 3, names, found, level, tuple(notes))


def _bare(fields: Sequence[str]) -> tuple[str, ...]:
    """Return names without angle brackets if all have them, as in `<DATE>`."""
    if all(field.startswith("<") and field.endswith(">") for field in fields if field):
        return tuple(field.strip("<>").strip() for field in fields)
    return tuple(fields)


def _above(rows: Sequence[_Row]) -> str:
    first = shlex.quote(rows[0].filled[0][:_LONGEST])
    if len(rows) == 1:
        return f"line {rows[0].first} ({first}) is above the header and is skipped"
    return f"lines {rows[0].first} to {rows[-1].last} ({first} ...) are above the header and are skipped"


def _refuse_unfit_header(names: Sequence[str], row: _Row, separator: str, name: str, *, is_header: bool) -> None:
    line = f"line {row.first} of {name}"
    if is_header:
        raise UsageError(
            f"`header` is for files without a header, and {line} is one: {_begin(row, separator)}; leave out `header`, "
            f"or skip that line with `skip_lines` {row.last}"
        )
    if len(names) != len(row.fields):
        raise UsageError(
            f"`header` must name each column once: it has {len(names)} names, and {line} has {len(row.fields)} fields: "
            f"{_begin(row, separator)}"
        )


def _refuse_line_above(read: _Reading, name: str) -> None:
    """Raise `DataError` if the first row seems to be a title that contains a separator.

    Then most of the other rows share another width, and the first of these has only words.
    """
    first, *others = read.rows
    width, n_rows = Counter(len(row.fields) for row in others).most_common(1)[0] if others else (0, 0)
    header = next((row for row in others if len(row.fields) == width), first)
    if width == len(first.fields) or 2 * n_rows <= len(others) or any(map(_VALUE.fullmatch, header.filled)):
        return
    above = header.first - 1
    lines = f"line {above} of {name} does" if above == first.first else f"lines {first.first} to {above} of {name} do"
    raise DataError(
        f"a header must name each column, and {lines} not: {_begin(first, read.separator)}; line {header.first} has "
        f"{width} names, like the fields of most rows, so skip the lines above it with `skip_lines` {above}"
    )


def _likely_names(fields: Sequence[str]) -> list[str]:
    moments = [bool(_MOMENT.fullmatch(field)) for field in fields]
    names = [f"x{position}" for position in range(1, len(fields) + 1)]
    names[moments.index(True)] = "timestamp"
    has_clock = len(fields) > 1 and bool(_DAY.fullmatch(fields[0]) and _CLOCK.fullmatch(fields[1]))
    timestamps = ("date", "time") if has_clock else ("timestamp",)
    bars = fields[len(timestamps) : len(timestamps) + len(BAR_NAMES)]
    if moments[0] and len(bars) == len(BAR_NAMES) and all(map(_VALUE.fullmatch, bars)):
        names[: len(timestamps) + len(BAR_NAMES)] = [*timestamps, *BAR_NAMES]
    return names


def _begin(row: _Row, separator: str) -> str:
    shown = separator.join(row.fields)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
