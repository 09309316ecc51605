"""Reads and checks OHLCV files."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kallos.errors import DataError, UsageError, require, require_each
from kallos.features.files.keys import own_name
from kallos.features.files.layouts import BAR_NAMES
from kallos.features.files.numbers import NumberRule
from kallos.features.files.rows import InputKind, InputReading, Inputs, UnfitValues, read_rows
from kallos.features.files.sources import RawTable, Source
from kallos.words import shorten

BARS = BAR_NAMES


def read_prices(path: str | Path, asset_id: str | None = None) -> dict[str, pd.DataFrame]:
    """Return the OHLCV bars of each asset in a CSV or Parquet file, sorted by timestamp (UTC, no zone).

    Column names may be in any case. `asset_id` selects an asset, or names it in a file without an asset column. Raises
    `UsageError` for a missing file, and `DataError` for a missing asset, missing columns, or unfit values.
    """
    require((str, Path), path=path)
    require((str, type(None)), asset_id=asset_id)
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"an OHLCV file must exist: there is no {file}")
    return read_bars([Source(str(file), file)], InputReading(asset_id=asset_id)).frames


def read_bars(sources: Sequence[Source], reading: InputReading) -> Inputs:
    """Return the OHLCV bars of each asset in all inputs, as `kallos.features.files.rows.read_rows` does.

    A bar is unfit if a value is missing or not finite, a price is not above zero, the volume is negative, or the high
    is below the low. The open and close may lie outside of these, as adjusted closes do.
    """
    require_each(Source, sources=sources)
    require(InputReading, reading=reading)
    for wanted in reading.columns:
        if wanted not in BARS:
            raise UsageError(f"`column` must name one of {', '.join(BARS)} before the =, not {wanted!r}")
    rule = NumberRule(
        "prices and volume must be numbers",
        lambda columns: f"write plain numbers, or name another column, as in `column` {next(iter(columns))}=NAME",
    )
    return read_rows(sources, reading, InputKind(_bar_columns, _unfit_bars, rule))


def demo_prices() -> dict[str, pd.DataFrame]:
    """Return the daily S&P 500, 1999-2018, from the `arch` package, as asset `SPX`."""
    from arch.data import sp500

    table = sp500.load()
    table.columns = [str(name).lower() for name in table.columns]
    bars = table[list(BARS)].astype(np.float64)
    return {"SPX": bars.set_index(pd.DatetimeIndex(bars.index, name="timestamp").as_unit("ns"))}


def _bar_columns(
    table: RawTable, by_folded: dict[str, str], taken: set[str], mapped: Mapping[str, str]
) -> dict[str, str]:
    own = {wanted: own_name(table, named, "`column`") for wanted, named in mapped.items()}
    missing = [name for name in BARS if name not in own and name not in by_folded]
    if missing:
        lacking = [*([] if taken else ["date or timestamp"]), *missing]
        raise DataError(
            f"an OHLCV file needs date or timestamp, {', '.join(BARS)}: {table.name} lacks {shorten(lacking, 6)} "
            f"(it has {shorten(list(table.columns), 12)}); name its columns with {_column_flags(missing, by_folded)}"
        )
    return {name: own.get(name) or by_folded[name] for name in BARS}


def _column_flags(missing: Sequence[str], by_folded: Mapping[str, str]) -> str:
    """Return the flags that map the missing columns to similarly named ones."""
    flags = []
    for name in missing:
        alike = [own for folded, own in by_folded.items() if name[:3] in folded][:2] or ["NAME"]
        flags.append(" or ".join(f"`column` {shlex.quote(f'{name}={own}')}" for own in alike))
    return " ".join(flags)


def _unfit_bars(bars: pd.DataFrame) -> list[UnfitValues]:
    prices = bars[list(BARS[:4])]
    crossed = bars["high"] < bars["low"]
    return [
        UnfitValues("prices and volume must be finite", ~np.isfinite(bars)),
        UnfitValues("prices must be above zero", prices <= 0),
        UnfitValues("volume must not be negative", bars[["volume"]] < 0),
        UnfitValues("a bar's high must not be below its low", pd.DataFrame({"high": crossed, "low": crossed})),
    ]
