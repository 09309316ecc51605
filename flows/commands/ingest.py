"""`kallos-run ingest`: OHLCV files into the features database."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kallos.errors import UsageError
from kallos.feature_store import FeatureStore
from kallos.ingestion import ingest_prices
from kallos.prices import demo_prices, read_prices
from kallos.settings import Settings


def ingest(
    prices: Path | None = None,
    /,
    *,
    asset_id: Annotated[
        str | None, Parameter(help="Asset to take; its name, where the file has no asset column.")
    ] = None,
    db_url: Annotated[str | None, Parameter(help="Features database (SQLAlchemy URL).", show_default=False)] = None,
    demo: Annotated[bool, Parameter(negative="", help="Ingest the daily S&P 500, 1999-2018, as SPX.")] = False,
) -> None:
    """Compute indicators of OHLCV bars and store them.

    Rows that are there already are updated, so that the same command may be run again. Give the whole history each
    time: moving averages and the like start anew with the file's first bar.

    Parameters
    ----------
    prices
        CSV or Parquet file with date or timestamp, open, high, low, close, volume and, optionally, asset.
    """
    if demo == (prices is not None):
        raise UsageError("ingest takes one of two: a file of prices, or --demo")
    bars = demo_prices() if prices is None else read_prices(prices, asset_id)
    url = db_url or Settings.read().features_url
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for asset in ingest_prices(bars, url):
        console.print(
            f"{asset.asset_id}: {asset.rows} rows of {asset.features} features, {asset.start:%Y-%m-%d} to "
            f"{asset.end:%Y-%m-%d} ({asset.new_rows} new, {asset.rows - asset.new_rows} updated)"
        )
    console.print(f"in {FeatureStore(url)}")
