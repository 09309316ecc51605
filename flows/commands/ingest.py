"""`kallos-run ingest`: write files of prices or features to the features database."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from flows.flags import FeaturesUrl
from flows.wording import Console, say
from kallos.errors import UsageError
from kallos.features.databases import parse_url, shown
from kallos.features.files.columns import COLUMNS
from kallos.features.files.faults import Rejected
from kallos.features.files.features import read_features
from kallos.features.files.ingest import ingest_prices, parse_mapping
from kallos.features.files.layouts import FileLayout, names_of
from kallos.features.files.prices import demo_prices, read_bars
from kallos.features.files.resampling import Resampling, resample_inputs
from kallos.features.files.rows import InputReading, Inputs
from kallos.features.files.sources import Source, find_sources
from kallos.features.files.timestamps import TimestampReading
from kallos.features.writing import OnConflict, Written, write_features
from kallos.settings import Settings
from kallos.words import counted

_MOST_ASSETS, _FIRST_ASSETS = 10, 5


def ingest(
    *inputs: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    as_: Annotated[
        Literal["prices", "features"],
        Parameter(name="--as", help="What the inputs hold: OHLCV bars, or features."),
    ] = "prices",
    asset_id: Annotated[
        str | None, Parameter(help="Asset to store; its name, if the inputs have no asset column.")
    ] = None,
    column: Annotated[
        tuple[str, ...],
        Parameter(help="Rename a column: close=Adj_Close stores Adj_Close as close. May be repeated."),
    ] = (),
    exclude: Annotated[
        tuple[str, ...], Parameter(help="Leave out a column, for example one of text. May be repeated.")
    ] = (),
    timestamp_column: Annotated[
        str | None,
        Parameter(help="Column of timestamps, or date,time for two columns. [default: date, timestamp or the like]"),
    ] = None,
    asset_column: Annotated[
        str | None, Parameter(help="Column of assets. [default: asset, symbol or the like]")
    ] = None,
    timezone: Annotated[
        str | None,
        Parameter(
            help="Time zone of timestamps without an offset, such as Europe/Berlin. They are stored as UTC. [default: "
            "UTC]"
        ),
    ] = None,
    date_format: Annotated[
        str | None,
        Parameter(
            help="Format of dates, such as %d/%m/%Y; epoch-s, epoch-ms, epoch-us or epoch-ns for numbers since 1970. "
            "[default: ISO 8601, or the only format that fits]"
        ),
    ] = None,
    header: Annotated[
        str | None,
        Parameter(help="Names of all columns of CSV files without a header: date,open,high,low,close,volume."),
    ] = None,
    skip_lines: Annotated[
        int | None, Parameter(help="Lines to skip above the header of CSV files. [default: those with a single field]")
    ] = None,
    separator: Annotated[
        str | None, Parameter(help="Separator of CSV files, such as ';', '|' or tab. [default: detected]")
    ] = None,
    decimal_comma: Annotated[bool, Parameter(help="Read numbers with a decimal comma.")] = False,
    days_in: Annotated[
        str | None,
        Parameter(
            help="Time zone in which the timestamps are days: if all are midnight there, only their dates are stored. "
            "UTC stores them as moments. With --resample, the zone whose days are made. [default: their own time zone "
            "or offset; of --resample, that of --timezone]"
        ),
    ] = None,
    resample: Annotated[
        str | None,
        Parameter(
            help="Make bars of a day (1D) or a part of one (4h) of shorter bars first, with realised variances beside "
            "the indicators."
        ),
    ] = None,
    session: Annotated[
        str | None,
        Parameter(
            help="With --resample: take only bars that begin within these local times of the zone, such as "
            "09:30-16:00, or 18:00-17:00 over midnight. [default: the whole day]"
        ),
    ] = None,
    features_table: Annotated[str, Parameter(help="Table to write to.")] = "features",
    on_conflict: Annotated[OnConflict, Parameter(help="What to do with rows that already exist.")] = "replace",
    skip_bad_rows: Annotated[bool, Parameter(help="Leave out and list bad rows, instead of failing.")] = False,
    start_anew: Annotated[
        bool,
        Parameter(
            help="Write all rows of bars that begin after the stored ones, although their indicators lack the bars "
            "before."
        ),
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Do everything except writing.")] = False,
    db_url: FeaturesUrl = None,
    demo: Annotated[bool, Parameter(help="Ingest the daily S&P 500 of 1999 to 2018 as SPX.")] = False,
    columns: Annotated[bool, Parameter(help="Show the columns that are made of prices, and do nothing else.")] = False,
) -> None:
    """Compute indicators of OHLCV bars and store them, or store your own features.

    Writes all inputs or none. Existing rows are replaced, so you can run the same command again. Indicators such as
    moving averages start at the first bar: give the whole history or, to continue stored rows, 400 bars before the
    first new one.

    Parameters
    ----------
    inputs
        CSV, Parquet or feather files, folders of them, or - for CSV from standard input.
    """
    if columns:
        if demo or inputs:
            raise UsageError("ingest shows the columns or takes inputs, not both: leave out --columns or the inputs")
        _show_columns()
        return
    if demo == bool(inputs):
        raise UsageError("ingest needs one input: give a file of prices, or --demo")
    resampling = _resampling(as_, resample, session, days_in or timezone or "UTC")
    url = db_url or Settings.read().features_url
    reading = InputReading(
        asset_id=asset_id,
        columns=parse_mapping(column),
        timestamp_column=timestamp_column,
        asset_column=asset_column,
        timestamps=TimestampReading(timezone, date_format, None if resampling else days_in),
        skip_bad_rows=skip_bad_rows,
        exclude=exclude,
        layout=FileLayout(
            separator={"tab": "\t", "\\t": "\t"}.get(separator or "", separator),
            skip_lines=skip_lines,
            header=None if header is None else names_of(header),
            decimal_comma=decimal_comma,
        ),
    )
    if demo:
        found = Inputs(demo_prices(), [])
    else:
        found = (read_bars if as_ == "prices" else read_features)(_sources(inputs), reading)
    if resampling is not None:
        found = resample_inputs(found, resampling)
    write = partial(ingest_prices, start_anew=start_anew) if as_ == "prices" else write_features
    written = write(
        found.frames, url, features_table, on_conflict=on_conflict, dry_run=dry_run, left_out=found.left_out
    )
    where = shown(parse_url(url))
    last = f"nothing was written to {where} (--dry-run)" if dry_run else f"in {where}"
    for line in (*found.notes, *_rejected(found.rejected), *_summary(written, on_conflict), last):
        say(line)


def _resampling(as_: str, resample: str | None, session: str | None, zone: str) -> Resampling | None:
    if resample is None:
        if session is not None:
            raise UsageError("--session selects bars for --resample: give both, such as --resample 1D")
        return None
    if as_ != "prices":
        raise UsageError("--resample makes bars of prices, not features: leave it out, or --as features")
    return Resampling(resample, zone, session)


def _show_columns() -> None:
    console = Console()
    for title, is_realised in (("columns of all prices", False), ("more columns, with --resample only", True)):
        table = Table(box=None, title=title, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column("column", no_wrap=True, min_width=21)
        table.add_column("unit", no_wrap=True, min_width=16)
        table.add_column("what it is")
        for each in COLUMNS:
            if each.is_realised == is_realised:
                table.add_row(each.name, each.unit, each.meaning)
        console.print(table)
        if not is_realised:
            console.print()


def _sources(inputs: Sequence[Path]) -> list[Source]:
    standard_input = Path("-")
    unknown = [path for path in inputs if str(path).startswith("-") and path != standard_input]
    if unknown:
        raise UsageError(f"unknown option {unknown[0]}: see 'kallos-run ingest --help'")
    sources = find_sources([path for path in inputs if path != standard_input])
    if standard_input in inputs:
        sources.append(Source("standard input", content=sys.stdin.buffer.read()))
    return sources


def _summary(written: Sequence[Written], on_conflict: OnConflict) -> list[str]:
    lines = [
        _line(each.asset_id, each, on_conflict)
        for each in (written if len(written) <= _MOST_ASSETS else written[:_FIRST_ASSETS])
    ]
    if len(written) > _MOST_ASSETS:
        total = Written(
            "all",
            sum(each.rows for each in written),
            sum(each.new_rows for each in written),
            min(each.start for each in written),
            max(each.end for each in written),
            written[0].features,
            sum(each.kept for each in written),
        )
        lines.insert(0, _line(f"{len(written)} assets", total, on_conflict))
        lines.append(f"and {len(written) - _FIRST_ASSETS} more assets")
    return lines


def _line(name: str, written: Written, on_conflict: OnConflict) -> str:
    how = "skipped" if on_conflict == "skip" else "updated"
    kept = f"; {written.kept} before them unchanged" if written.kept else ""
    return (
        f"{name}: {counted(written.rows, 'row')} of {counted(written.features, 'feature')}, "
        f"{written.start:%Y-%m-%d} to "
        f"{written.end:%Y-%m-%d} ({written.new_rows} new, {written.rows - written.new_rows} {how}{kept})"
    )


def _rejected(rejected: Sequence[Rejected]) -> list[str]:
    if not rejected:
        return []
    lines = [f"{counted(sum(each.n_rows for each in rejected), 'bad row')} left out:"]
    for each in rejected:
        lines.append(f"  {each.file}, {counted(each.n_rows, 'row')}: {each.rule}")
        lines += [f"    {first}" for first in each.first]
        if each.n_rows > len(each.first):
            lines.append(f"    and {each.n_rows - len(each.first)} more")
    return lines
