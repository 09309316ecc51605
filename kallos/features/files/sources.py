"""Finds and opens input files, and numbers their rows as an editor does."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import OpenFile
from fsspec.implementations.local import LocalFileSystem
from pyarrow import ipc

from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.layouts import FIRST_LINES, FileLayout, FoundLayout, find_layout
from kallos.words import shorten

_PARQUET = (".parquet", ".pq")
_FEATHER = (".feather", ".arrow")
_BINARY = (*_PARQUET, *_FEATHER)
_TEXT = (".csv", ".tsv", ".txt")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_CELLS_AT_ONCE = 500_000
_MARKS_OF_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Source:
    """An input: a file, or the bytes of a CSV file.

    `asset_id` is the asset if neither a column nor the user names one; None requires one of these.
    """

    name: str
    path: Path | None = None
    content: bytes = b""
    asset_id: str | None = None


@dataclass(frozen=True)
class RawTable:
    """A file's unparsed columns by their stripped names; a column without a name is "".

    `places[i]` is the line of a CSV file on which row i begins, or the row of another file, both from 1. `misshapen`
    are the places and numbers of fields of CSV rows whose number of fields is not `width`. `notes` describe how a CSV
    file was read.
    """

    name: str
    columns: dict[str, Any]
    places: np.ndarray
    place_word: Literal["line", "row"]
    width: int
    misshapen: tuple[tuple[int, int], ...] = ()
    asset_id: str | None = None
    notes: tuple[str, ...] = ()

    def where(self, chosen: np.ndarray) -> "RawTable":
        """Return the rows where a mask holds."""
        columns = {name: column.filter(pa.array(chosen)) for name, column in self.columns.items()}
        return replace(self, columns=columns, places=self.places[chosen])


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Return the files of these paths, those of a folder sorted by name.

    With several files, the file's name is the asset if nothing else names it. Raises `UsageError` for a missing path,
    and for a folder without a CSV, Parquet or feather file.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.is_file() and _is_table(file))
            if not found:
                raise UsageError(f"an input folder must contain CSV, Parquet or feather files: {path} has none")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"an input file must exist: there is no {path}")
    several = len(files) > 1 or any(path.is_dir() for path in paths)
    return [Source(str(file), file, asset_id=_bare_name(file) if several else None) for file in files]


def read_table(source: Source, layout: FileLayout | None = None) -> RawTable:
    """Return the columns of a Parquet, feather or CSV file, which may be compressed (.gz, .bz2, .xz, .zst or .zip).

    Raises `DataError` for a file that cannot be read, has no rows, or has two columns of one name, and what
    `kallos.features.files.layouts.find_layout` raises.
    """
    try:
        if source.path is not None and source.path.suffix.lower() in _BINARY:
            table = _read_binary(source, source.path)
        else:
            table = _read_csv(source, layout or FileLayout())
    except KallosError:
        raise
    except UnicodeDecodeError as error:
        raise _unreadable(source, f"byte {error.object[error.start]:#x} is not UTF-8; save it as UTF-8") from None
    except Exception as error:  # Parsers raise all kinds of errors, without the file's name.
        message = str(error).strip().splitlines() or [type(error).__name__]
        raise _unreadable(source, message[0]) from None
    _refuse_doubled(list(table.columns), source)
    if not len(table.places) and not table.misshapen:
        raise DataError(f"an input must have at least one row: {source.name} has none")
    return table


def _unreadable(source: Source, reason: str) -> DataError:
    return DataError(f"an input must be CSV, Parquet or feather: {source.name}: {reason}")


def _is_table(file: Path) -> bool:
    name = file.name.lower()
    plain = name.removesuffix(next((end for end in _PACKED if name.endswith(end)), ""))
    return not name.startswith(".") and (plain.endswith(".csv") or name.endswith(_BINARY))


def _bare_name(file: Path) -> str:
    name = file.name
    for endings in (_PACKED, (*_TEXT, *_BINARY)):
        end = next((end for end in endings if name.lower().endswith(end)), "")
        name = name[: len(name) - len(end)]
    return name


def _read_binary(source: Source, path: Path) -> RawTable:
    is_feather = path.suffix.lower() in _FEATHER
    table = ipc.open_file(path.read_bytes()).read_all() if is_feather else pq.ParquetFile(path).read()
    # Otherwise text that is not UTF-8 fails only when it is shown.
    table.validate(full=True)
    names = [name.strip() for name in table.column_names]
    _refuse_doubled(names, source)
    columns = dict(zip(names, map(_decoded, table.columns), strict=True))
    return RawTable(source.name, columns, np.arange(1, len(table) + 1), "row", len(names), asset_id=source.asset_id)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column's type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _read_csv(source: Source, given: FileLayout) -> RawTable:
    with _opened(source) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        begin = list(islice(text, FIRST_LINES))
        layout = find_layout(begin, source.name, given)
        if layout is None:
            raise _unreadable(source, "it is empty")
        if any("\0" in name for name in layout.names):
            raise _unreadable(source, "its header has NUL characters, as in UTF-16; save it as UTF-8")
        lines = chain(begin[layout.lines_above :], text)
        reader = csv.reader(lines, strict=True, delimiter=layout.separator)
        try:
            for _ in range(layout.header_rows):
                next(row for row in reader if any(field.strip() for field in row))
            pieces, places, misshapen = _rows(reader, len(layout.names), layout.lines_above)
        except csv.Error as error:
            raise _unreadable(source, f"line {layout.lines_above + reader.line_num}: {error}") from None
    columns = [pa.chunked_array([piece[at] for piece in pieces], pa.string()) for at in range(len(layout.names))]
    table = RawTable(
        source.name, {}, places, "line", len(layout.names), tuple(misshapen), source.asset_id, layout.notes
    )
    if layout.assets:
        return _of_each_asset(table, columns, layout, source)
    _refuse_doubled(layout.names, source)
    return replace(table, columns=dict(zip(layout.names, columns, strict=True)))


def _of_each_asset(table: RawTable, columns: list[pa.ChunkedArray], layout: FoundLayout, source: Source) -> RawTable:
    """Return the rows of a table with columns for each asset, one asset after the other, without all-empty rows.

    If the header names a single asset, it becomes the table's.
    """
    timestamp, *others = columns
    names = list(dict.fromkeys(layout.names[1:]))
    assets = list(dict.fromkeys(layout.assets))
    by_asset: dict[str, dict[str, pa.ChunkedArray]] = {asset: {} for asset in assets}
    for asset, name, column in zip(layout.assets, layout.names[1:], others, strict=True):
        if name in by_asset[asset]:
            raise DataError(f"column names must be unique: {source.name} has {name!r} for {asset!r} more than once")
        by_asset[asset][name] = column
    if len(assets) == 1:
        return replace(table, columns={layout.names[0]: timestamp, **by_asset[assets[0]]}, asset_id=assets[0])
    nothing = pa.chunked_array([pa.nulls(len(timestamp), pa.string())])
    tables = []
    for asset in assets:
        own = {name: by_asset[asset].get(name, nothing) for name in names}
        of_asset = pa.chunked_array([pa.array([asset] * len(timestamp), pa.string())])
        whole = replace(table, columns={layout.names[0]: timestamp, layout.asset_level: of_asset, **own})
        tables.append(whole.where(~_all_empty(list(own.values()))))
    columns_below = {
        name: pa.chunked_array([chunk for each in tables for chunk in each.columns[name].chunks], pa.string())
        for name in tables[0].columns
    }
    return replace(table, columns=columns_below, places=np.concatenate([each.places for each in tables]))


def _all_empty(columns: list[pa.ChunkedArray]) -> np.ndarray:
    empty = np.ones(len(columns[0]), bool)
    for column in columns:
        empty &= np.asarray(pc.equal(column, "").fill_null(True).to_numpy(), bool)
    return empty


def _rows(reader: Any, width: int, lines_above: int) -> tuple[list[list[pa.Array]], np.ndarray, list[tuple[int, int]]]:
    """Return the columns of a CSV file in pieces, the first line of each row, and the rows of another width."""
    pieces: list[list[pa.Array]] = []
    places: list[int] = []
    misshapen: list[tuple[int, int]] = []
    rows: list[list[str]] = []
    at_once = max(_CELLS_AT_ONCE // width, 1)
    ended = lines_above + reader.line_num
    for row in reader:
        began, ended = ended + 1, lines_above + reader.line_num
        if len(row) == width:
            rows.append(row)
            places.append(began)
        elif len(row) > 1 or (row and row[0].strip()):
            misshapen.append((began, len(row)))
        if len(rows) == at_once:
            pieces.append([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])
            rows.clear()
    if rows:
        pieces.append([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])
    return pieces, np.array(places, np.int64), misshapen


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    with _unpacked(source) as stream:
        # Not all compressed streams can peek.
        buffered = io.BufferedReader(stream)
        if buffered.peek(2)[:2] in _MARKS_OF_UTF_16:
            raise _unreadable(source, "it is UTF-16; save it as UTF-8")
        yield buffered


def _unpacked(source: Source) -> Any:
    """Return a context manager of a source's uncompressed bytes."""
    path = source.path
    if path is None:
        return io.BytesIO(source.content)
    packed = path.suffix.lower()
    if packed == ".zst":
        # fsspec would need another package.
        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    if packed == ".zip":
        with zipfile.ZipFile(path) as archive:
            n_files = len(archive.namelist())
        if n_files != 1:
            raise _unreadable(source, f"an archive must contain one file, not {n_files}")
    return OpenFile(LocalFileSystem(), str(path.absolute()), compression="infer")


def _refuse_doubled(names: Sequence[str], source: Source) -> None:
    seen: set[str] = set()
    doubled = []
    for name in filter(None, names):
        folded = name.lower()
        if folded in seen:
            doubled.append(repr(folded))
        seen.add(folded)
    if doubled:
        raise DataError(
            f"column names must be unique regardless of case: {source.name} has {shorten(doubled)} more than once"
        )
