"""OHLCV files: read, checked, and split by asset."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from kallos.errors import DataError, UsageError, did_you_mean, shorten

BARS = ("open", "high", "low", "close", "volume")
_STAMPS = ("timestamp", "date", "datetime", "time")
_ASSETS = ("asset_id", "asset", "symbol", "ticker")


def read_prices(path: Path, asset_id: str | None = None) -> dict[str, pd.DataFrame]:
    """Return the OHLCV bars of each asset in a CSV or Parquet file, sorted by timestamp (UTC, no zone).

    Column names may be in any case. With an asset column `asset_id` selects; without one it is needed, as
    the asset's name. Raises `UsageError` for a file or an asset that is not there, `DataError` for one that
    holds no OHLCV or holds unfit values.
    """
    table = _read(path)
    table.columns = [str(name).strip().lower() for name in table.columns]
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise DataError(f"column names must be unique, in whatever case: {path} has {doubled[0]!r} more than once")
    if table.empty:
        raise DataError(f"an OHLCV file must hold a row at least: {path} has none")
    stamp = _column(table, _STAMPS, path)
    missing = [name for name in BARS if name not in table.columns]
    if stamp is None or missing:
        lacking = [*([] if stamp else ["date or timestamp"]), *missing]
        raise DataError(
            f"an OHLCV file needs date or timestamp, {', '.join(BARS)}: {path} lacks {shorten(lacking)} "
            f"(it has {shorten(list(table.columns), 12)})"
        )
    return {
        name: _bars(rows, stamp, f"{path}, asset {name!r}") for name, rows in _assets(table, path, asset_id).items()
    }


def demo_prices() -> dict[str, pd.DataFrame]:
    """Return the daily S&P 500, 1999-2018, from the `arch` package, as asset `SPX`."""
    try:
        from arch.data import sp500
    except ImportError:
        raise UsageError("the demo data come with the 'arch' package: pip install 'kallos[demo]'") from None
    table = sp500.load().reset_index()
    table.columns = [str(name).lower() for name in table.columns]
    return {"SPX": _bars(table, "date", "the S&P 500 of 'arch'")}


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"an OHLCV file must exist: there is no {path}")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        # Assets are names, whatever they look like: 000001, NA.
        names = [name for name in pd.read_csv(path, nrows=0).columns if name.strip().lower() in _ASSETS]
        return pd.read_csv(path, float_precision="round_trip", converters=dict.fromkeys(names, str))
    except Exception as error:  # Parsers raise whatever they like; the user needs to know which file.
        raise DataError(f"an OHLCV file must be CSV or Parquet: {path}: {str(error).splitlines()[0]}") from None


def _column(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> str | None:
    found = [name for name in names if name in table.columns]
    if len(found) > 1:
        raise DataError(f"one column must say which, and {path} has {' and '.join(found)}: take one out")
    return found[0] if found else None


def _assets(table: pd.DataFrame, path: Path, asset_id: str | None) -> Mapping[str, pd.DataFrame]:
    column = _column(table, _ASSETS, path)
    if column is None:
        if asset_id is None:
            raise UsageError(f"{path} has no asset column: name the asset as --asset-id")
        return {asset_id: table}
    names = table[column].astype(str)
    nameless = table[column].isna() | (names.str.strip() == "")
    if nameless.any():
        raise DataError(f"every row must name its asset: column {column!r} of {path} lacks {nameless.sum()}")
    if asset_id is not None and asset_id not in set(names):
        raise DataError(f"asset {asset_id!r} is not in {path}: {did_you_mean(asset_id, names.unique())}")
    return {name: rows for name, rows in table.groupby(names) if asset_id in (None, name)}


def _bars(rows: pd.DataFrame, stamp: str, where: str) -> pd.DataFrame:
    index = _timestamps(rows[stamp], where)
    for name in BARS:
        _refuse_words(rows[name], where)
    bars = rows[list(BARS)].astype(np.float64).set_index(index).sort_index()
    doubled = bars.index[bars.index.duplicated()].unique()
    if len(doubled):
        raise DataError(f"timestamps must be unique: {where} has {len(doubled)} more than once ({shorten(doubled)})")
    _refuse(bars, ~np.isfinite(bars), "prices and volume must be finite", where)
    _refuse(bars, bars[list(BARS[:4])] <= 0, "prices must be above zero", where)
    _refuse(bars, bars[["volume"]] < 0, "volume must not be negative", where)
    return bars


def _timestamps(stamps: pd.Series, where: str) -> pd.DatetimeIndex:
    if stamps.isna().any():
        raise DataError(f"every row must have a date: {where} lacks {int(stamps.isna().sum())}")
    if stamps.dtype.kind in "iuf":
        # Days, seconds or nanoseconds since 1970, or 20240102: no guess is safe.
        raise DataError(
            f"column {stamps.name!r} must hold dates such as 2024-01-02, not numbers: {where} has {stamps.iloc[0]}"
        )
    try:
        # Of 03/04/2024 nobody can tell which is the day.
        moments = pd.to_datetime(stamps, utc=True, format="ISO8601")
        return pd.DatetimeIndex(moments, name="timestamp").tz_localize(None).as_unit("ns")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"column {stamps.name!r} must hold dates such as 2024-01-02: {where}: {str(error).splitlines()[0]}"
        ) from None


def _refuse_words(values: pd.Series, where: str) -> None:
    if values.dtype.kind in "iuf":
        return
    words = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    shown = repr(words.iloc[0]) if len(words) else f"{values.dtype} values"
    raise DataError(f"prices and volume must be numbers: {where}: column {values.name!r} holds {shown}: correct them")


def _refuse(bars: pd.DataFrame, unfit: pd.DataFrame, rule: str, where: str) -> None:
    rows = unfit.any(axis=1)
    if rows.any():
        first = bars.index[rows][0]
        column = unfit.columns[unfit.loc[first]][0]
        value = bars.loc[first, column]
        raise DataError(
            f"{rule}: {where} has {int(rows.sum())} rows that are not, first {column} {value} at {first}: correct them"
        )
