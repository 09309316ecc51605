"""OHLCV in, features in the database: one call, all or nothing."""

from collections.abc import Mapping

import pandas as pd

from kallos.errors import DataError
from kallos.feature_store import FeatureStore, Written
from kallos.indicators import compute_indicators


def ingest_prices(prices: Mapping[str, pd.DataFrame], db_url: str) -> list[Written]:
    """Compute the indicators of each asset's bars and upsert them; return what was written, by asset.

    Raises `DataError` if an asset has too few bars for a single row of features.
    """
    features = {asset_id: compute_indicators(bars) for asset_id, bars in prices.items()}
    for asset_id, frame in features.items():
        if frame.empty:
            raise DataError(
                f"asset {asset_id!r} has {len(prices[asset_id])} bars, and the first row of features takes 34: "
                f"bring earlier bars"
            )
    with FeatureStore(db_url) as store:
        return store.write(features)
