"""Files in, features in the database: one call, all or nothing."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.feature_writing import OnConflict, Written, write_features
from kallos.indicators import compute_indicators


def ingest_prices(
    prices: Mapping[str, pd.DataFrame],
    db_url: str,
    table_name: str = "features",
    *,
    on_conflict: OnConflict = "replace",
    dry_run: bool = False,
) -> list[Written]:
    """Compute the indicators of each asset's bars and write them; return what was written, by asset.

    Raises `DataError` if an asset has too few bars for a single row of features, and what
    `kallos.feature_writing.write_features` raises.
    """
    features = {asset_id: compute_indicators(bars) for asset_id, bars in prices.items()}
    for asset_id, frame in features.items():
        if frame.empty:
            raise DataError(
                f"asset {asset_id!r} has {len(prices[asset_id])} bars, and the first row of features takes 34: "
                f"bring earlier bars"
            )
    return write_features(features, db_url, table_name, on_conflict=on_conflict, dry_run=dry_run)


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Return `close=Adj Close` and the like as the wanted name to the file's own, or raise `UsageError`."""
    mapped: dict[str, str] = {}
    for pair in pairs:
        wanted, equals, own = pair.partition("=")
        if not (equals and wanted.strip() and own.strip()):
            raise UsageError(f"`column` must be the wanted name, =, and the file's own, not {pair!r}")
        if wanted.strip() in mapped:
            raise UsageError(f"`column` must name each column once, and names {wanted.strip()!r} twice")
        mapped[wanted.strip()] = own.strip()
    return mapped
