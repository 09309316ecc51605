"""Reads the rows of input files: an asset, a moment in UTC, and numbers each. Unfit rows are refused or left out."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kallos.errors import DataError, UsageError
from kallos.features.files.faults import Rejected, RowFaults, shortened
from kallos.features.files.keys import asset_column, find_timestamp_column, own_name
from kallos.features.files.layouts import MISSING, FileLayout
from kallos.features.files.numbers import NumberRule, read_numbers
from kallos.features.files.sources import RawTable, Source, is_text, read_table
from kallos.features.files.timestamps import TimestampReading, as_written, read_timestamps
from kallos.words import did_you_mean, shorten

_LONGEST_NAME = 200


@dataclass(frozen=True)
class InputReading:
    """How input files are read.

    `columns` maps the wanted names to the file's own. `timestamp_column` (two columns as `date,time`) and
    `asset_column` are the file's own names, or None to find them by their usual names. `exclude` lists columns to leave
    out. `asset_id` selects an asset, or names the only one in files without an asset column.
    """

    asset_id: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    timestamp_column: str | None = None
    asset_column: str | None = None
    timestamps: TimestampReading = field(default_factory=TimestampReading)
    skip_bad_rows: bool = False
    exclude: Sequence[str] = ()
    layout: FileLayout = field(default_factory=FileLayout)


@dataclass(frozen=True)
class UnfitValues:
    """A rule, and a mask of the values that break it, with the same rows and only the columns that it concerns."""

    rule: str
    unfit: pd.DataFrame
    remedy: str = "correct it"


@dataclass(frozen=True)
class InputKind:
    """What files are expected to hold.

    `value_columns` picks the columns to read from those there are, as the wanted name to the file's own; `check`
    finds what is unfit of their numbers; `numbers` is what is said of values that are none.
    """

    value_columns: Callable[[RawTable, dict[str, str], set[str], Mapping[str, str]], dict[str, str]]
    check: Callable[[pd.DataFrame], list[UnfitValues]]
    numbers: NumberRule


@dataclass(frozen=True)
class Inputs:
    """Each asset's rows, by unique, sorted timestamps (UTC, no zone), and the rows that were left out.

    `left_out` are the rules that these break, by asset and timestamp if both can be read. `notes` describe how the
    inputs were read.
    """

    frames: dict[str, pd.DataFrame]
    rejected: list[Rejected]
    left_out: dict[str, pd.Series] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rows:
    table: RawTable
    names: list[str]
    assets: np.ndarray
    moments: np.ndarray
    values: pd.DataFrame
    are_local_days: bool

    def where(self, chosen: np.ndarray) -> "_Rows":
        table = replace(self.table, columns={}, places=self.table.places[chosen])
        values = self.values[chosen].reset_index(drop=True)
        assets, moments = self.assets[chosen], self.moments[chosen]
        return replace(self, table=table, assets=assets, moments=moments, values=values)

    def keys(self, chosen: np.ndarray) -> Iterator[tuple[str, pd.Timestamp]]:
        """Yield asset and timestamp of the rows where a mask holds."""
        for row in np.flatnonzero(chosen):
            yield self.names[self.assets[row]], pd.Timestamp(self.moments[row])

    def place(self, row: int) -> str:
        return f"asset {self.names[self.assets[row]]!r} has {{}} at {pd.Timestamp(self.moments[row])}"


@dataclass(frozen=True)
class _Progress:
    """How all inputs are read, and what was found so far: faults, names of assets, and notes on files."""

    reading: InputReading
    kind: InputKind
    faults: RowFaults
    seen: set[str] = field(default_factory=set)
    notes: list[tuple[str, str]] = field(default_factory=list)


_MOST_NOTES = 20
# Up to so many unfit rows may be more than half of an input.
_MOST_UNFIT = 100


def read_rows(sources: Sequence[Source], reading: InputReading, kind: InputKind) -> Inputs:
    """Return the rows of all inputs by asset.

    Raises `UsageError` for a requested column that does not exist, and `DataError` for a requested asset that does not
    exist, an unfit file, and the first unfit row unless such rows are skipped.
    """
    progress = _Progress(reading, kind, RowFaults(skip=reading.skip_bad_rows))
    faults, seen, notes = progress.faults, progress.seen, progress.notes
    excluded: set[str] = set()
    read = []
    for source in sources:
        table = _without_excluded(read_table(source, reading.layout), reading.exclude, excluded)
        if source is sources[-1] and (unknown := set(reading.exclude) - excluded):
            # An excluded column need not be in every file.
            own_name(table, min(unknown), "`exclude`")
        try:
            read.append(_read(table, progress))
        except (DataError, UsageError) as error:
            # How the file was read may be why it was refused.
            own = "; ".join(note for name, note in notes if name == table.name)
            raise type(error)(f"{error} ({own})" if own else str(error)) from None
    if reading.asset_id is not None and reading.asset_id not in seen:
        where = sources[0].name if len(sources) == 1 else f"the {len(sources)} inputs"
        raise DataError(f"asset {reading.asset_id!r} is not in {where}: {did_you_mean(reading.asset_id, seen)}")
    _refuse_other_columns(read)
    read = _without_doubled(read, faults)
    n_fit, n_unfit = sum(len(rows.moments) for rows in read), sum(each.n_rows for each in faults.rejected)
    rules = shorten([f"{each.rule} ({each.n_rows})" for each in faults.rejected])
    if not n_fit:
        raise DataError(f"at least one row must be valid, and none of {sources[0].name} is: {rules}")
    if n_unfit > max(n_fit, _MOST_UNFIT):
        # With a wrong `date_format`, for example, the dates that can be read are wrong too.
        raise DataError(
            f"at least half of the rows must be valid, and of {sources[0].name} {n_fit} of {n_fit + n_unfit} are: "
            f"{rules}"
        )
    frames = _by_asset(read)
    days = "all timestamps are midnight in their own zone, so their dates are kept (`days_in` UTC keeps the moments)"
    notes += [(rows.table.name, days) for rows in read if rows.are_local_days]
    return Inputs(frames, faults.rejected, faults.left_out_of(frames), _lines(notes))


def exclude_flag(names: Sequence[str]) -> str:
    """Return the flag that leaves out columns, quoted for a shell."""
    return " ".join(f"`exclude` {shlex.quote(name)}" for name in names)


def _lines(notes: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return each note with its files, as lines."""
    files: dict[str, list[str]] = {}
    for file, note in notes:
        files.setdefault(note, []).append(file)
    lines = [f"{shorten(of_note, 1)}: {note}" for note, of_note in files.items()]
    more = len(lines) - _MOST_NOTES
    return (*lines[:_MOST_NOTES], *([f"and {more} more notes on how files were read"] if more > 0 else []))


def _without_excluded(table: RawTable, exclude: Sequence[str], excluded: set[str]) -> RawTable:
    """Return a table without the columns to exclude, and add those that it had to `excluded`."""
    by_folded = {name.lower(): name for name in table.columns}
    own = {name: name if name in table.columns else by_folded.get(name.strip().lower()) for name in exclude}
    excluded |= {name for name, held in own.items() if held is not None}
    return replace(table, columns={name: each for name, each in table.columns.items() if name not in own.values()})


def _read(table: RawTable, progress: _Progress) -> _Rows:
    reading, kind, faults, notes = progress.reading, progress.kind, progress.faults, progress.notes
    notes += [(table.name, note) for note in table.notes]
    if table.misshapen:
        found = table.misshapen
        faults.reject_places(
            "every row must have as many fields as the header",
            table,
            [place for place, _ in found],
            lambda at: f"{found[at][1]} fields, and the header has {table.width}",
            "correct it, give another `separator`, skip the lines above the header with `skip_lines`",
        )
    asset = asset_column(table, reading.asset_column)
    timestamp = find_timestamp_column(table, reading.timestamp_column, reading.timestamps)
    taken = {name for name in (asset, *(timestamp.columns if timestamp else ())) if name is not None}
    chosen = kind.value_columns(table, {name.lower(): name for name in table.columns}, taken, reading.columns)
    if timestamp is None:
        raise DataError(
            f"an input needs a column date or timestamp, and {table.name} has neither (it has "
            f"{shorten(list(table.columns), 12)}); name yours as `timestamp_column`"
        )
    if timestamp.note is not None:
        notes.append((table.name, timestamp.note))
    table = replace(table, columns={**table.columns, timestamp.columns[0]: timestamp.written})
    table, names, assets, unfit = _assets(table, asset, reading, faults)
    progress.seen.update(names)
    timestamps = table.columns[timestamp.columns[0]]
    moments, unfit_timestamps, are_local_days = read_timestamps(
        timestamps, timestamp.name, table.name, timestamp.reading
    )
    for each in unfit_timestamps:
        found_unfit = each.unfit & ~unfit
        faults.reject(
            each.rule,
            table,
            found_unfit,
            lambda row: f"asset {names[assets[row]]!r} has {shortened(as_written(timestamps, row))}",
            each.remedy,
        )
        unfit |= each.unfit
    numbers = read_numbers(table, chosen, kind.numbers, decimal_comma=reading.layout.decimal_comma)
    rows = _Rows(table, names, assets, moments, numbers.values, are_local_days)
    words = UnfitValues(kind.numbers.rule, numbers.words, numbers.remedy)
    for values in (words, *kind.check(numbers.values)):
        new = values.unfit.to_numpy(bool).any(axis=1) & ~unfit
        faults.reject(values.rule, table, new, _shown_values(values, rows, chosen), values.remedy)
        faults.leave_out(values.rule, rows.keys(new))
        unfit |= new
    return rows.where(~unfit)


def _shown_values(values: UnfitValues, rows: _Rows, chosen: Mapping[str, str]) -> Callable[[int], str]:
    """Return a function that describes the unfit values of a row as the file has them."""

    def shown(row: int) -> str:
        found = []
        for name in values.unfit.columns:
            if values.unfit[name].iloc[row]:
                raw = rows.table.columns[chosen[name]][row].as_py()
                value = rows.values[name].iloc[row]
                is_word = isinstance(raw, str) and np.isnan(value) and raw.strip().lower() not in MISSING
                found.append(f"{name} {shortened(raw)}" if is_word else f"{name} {value}")
        return rows.place(row).format(shorten(found, 3))

    return shown


def _assets(
    table: RawTable, column: str | None, reading: InputReading, faults: RowFaults
) -> tuple[RawTable, list[str], np.ndarray, np.ndarray]:
    """Return the rows of the requested asset, or all; their assets as names and codes; and which rows are unfit."""
    if column is None:
        name = reading.asset_id if reading.asset_id is not None else table.asset_id
        if name is None:
            raise UsageError(f"{table.name} has no asset column; name the asset as `asset_id`")
        return table, [name], np.zeros(len(table.places), np.int64), np.zeros(len(table.places), bool)
    text = _text_of_assets(table, column)
    fits = {
        "every row must name its asset": pc.equal(text, ""),
        "asset names must not hold NUL characters": pc.match_substring(text, "\0"),
        f"asset names must have at most {_LONGEST_NAME} characters": pc.greater(pc.utf8_length(text), _LONGEST_NAME),
    }
    unfit = np.zeros(len(text), bool)
    for rule, condition in fits.items():
        broken = np.asarray(condition.to_numpy(), bool)
        faults.reject(
            rule,
            table,
            broken & ~unfit,
            lambda row: f"column {column!r} has {shortened(text[row].as_py())}",
            "correct it",
        )
        unfit |= broken
    encoded = text.dictionary_encode().combine_chunks()
    names = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    if reading.asset_id is not None:
        mine = (codes == names.index(reading.asset_id)) if reading.asset_id in names else np.zeros(len(codes), bool)
        # All names are returned, to suggest one for a misspelt asset.
        return table.where(mine & ~unfit), names, codes[mine & ~unfit], np.zeros(int((mine & ~unfit).sum()), bool)
    return table, names, codes, unfit


def _text_of_assets(table: RawTable, column: str) -> pa.ChunkedArray:
    values = table.columns[column]
    kind = values.type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise DataError(f"assets must be text or integers: column {column!r} of {table.name} holds {kind}")
    # Assets are text, even 000001 or NA.
    return pc.utf8_trim_whitespace(values.cast(pa.string())).fill_null("")


def _refuse_other_columns(read: list[_Rows]) -> None:
    first = read[0]
    for rows in read[1:]:
        here, held = set(rows.values.columns), set(first.values.columns)
        if here != held:
            raise DataError(
                f"all inputs must have the same columns: compared to {first.table.name}, {rows.table.name} lacks "
                f"{shorten(sorted(held - here)) or 0}, and has {shorten(sorted(here - held)) or 0} more; ingest them "
                f"separately"
            )


def _without_doubled(read: list[_Rows], faults: RowFaults) -> list[_Rows]:
    """Return the rows without duplicates of an asset and moment, of which one is kept if all have the same values."""
    keys = pd.DataFrame(
        {
            "asset": _codes(read, list(dict.fromkeys(name for rows in read for name in rows.names))),
            "moment": np.concatenate([rows.moments.astype(np.int64) for rows in read]),
        }
    )
    doubled = keys.duplicated(keep=False).to_numpy()
    if not doubled.any():
        return read
    table_of = np.repeat(np.arange(len(read)), [len(rows.moments) for rows in read])
    row_of = np.concatenate([np.arange(len(rows.moments)) for rows in read])
    values = pd.concat([rows.values for rows in read], ignore_index=True)
    repeated = np.zeros(len(keys), bool)
    at = np.flatnonzero(doubled)
    repeated[at] = pd.concat([keys, values], axis=1).iloc[at].duplicated().to_numpy()
    differing = ~repeated & keys[~repeated].duplicated(keep=False).reindex(keys.index, fill_value=False).to_numpy()

    def places(row: int) -> str:
        same = np.flatnonzero((keys == keys.iloc[row]).all(axis=1).to_numpy())
        others = ((read[table_of[each]].table, row_of[each]) for each in same if each != row)
        return shorten([f"{table.place_word} {table.places[at]} of {table.name}" for table, at in others])

    kept = []
    for number, rows in enumerate(read):
        mine = np.flatnonzero(table_of == number)
        for rule, unfit in (
            ("timestamps must be unique, and another row has other values", differing),
            ("timestamps must be unique, and another row is the same", repeated),
        ):
            faults.reject(
                rule,
                rows.table,
                unfit[mine],
                lambda row, rows=rows, mine=mine: (  # type: ignore[misc]
                    f"asset {rows.names[rows.assets[row]]!r} has {pd.Timestamp(rows.moments[row])} "
                    f"also in {places(int(mine[row]))}"
                ),
                "delete one",
            )
            faults.leave_out(rule, rows.keys(unfit[mine]))
        kept.append(rows.where(~(differing | repeated)[mine]))
    return kept


def _by_asset(read: list[_Rows]) -> dict[str, pd.DataFrame]:
    names = sorted({name for rows in read for name in rows.names})
    codes = _codes(read, names)
    moments = np.concatenate([rows.moments for rows in read])
    order = np.lexsort((moments, codes))
    columns = list(read[0].values.columns)
    values: Any = pd.concat([rows.values[columns] for rows in read], ignore_index=True).to_numpy()[order]
    codes, moments = codes[order], moments[order]
    index = pd.DatetimeIndex(moments, name="timestamp").as_unit("ns")
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1), len(codes)]
    return {
        names[codes[start]]: pd.DataFrame(values[start:end], index=index[start:end], columns=columns)
        for start, end in pairwise(edges)
        if end > start
    }


def _codes(read: list[_Rows], names: list[str]) -> np.ndarray:
    """Return each row's asset as its position in `names`."""
    code_of = {name: code for code, name in enumerate(names)}
    return np.concatenate([np.array([code_of[name] for name in rows.names], np.int64)[rows.assets] for rows in read])
