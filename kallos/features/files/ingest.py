"""Writes the features of price files to the database: all or nothing."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.files.indicators import SETTLED_BARS, compute_indicators
from kallos.features.files.prices import BARS
from kallos.features.writing import OnConflict, Written, write_features


def ingest_prices(
    prices: Mapping[str, pd.DataFrame],
    db_url: str,
    table_name: str = "features",
    *,
    on_conflict: OnConflict = "replace",
    dry_run: bool = False,
    left_out: Mapping[str, pd.Series] | None = None,
    start_anew: bool = False,
) -> list[Written]:
    """Compute the indicators of each asset's bars and write them; return what was written, by asset.

    Other columns of the bars, such as the measures of `kallos.features.files.resampling`, are written beside them.
    If the bars begin after existing rows, the first `SETTLED_BARS` only warm up the indicators: their rows stay as they
    are, computed from a longer history. `start_anew` writes them anyway. Raises `DataError` if those rows do not exist,
    or an asset has too few bars for one row of features, and what `kallos.features.writing.write_features` raises.
    """
    features = {
        asset_id: compute_indicators(bars).join(bars.drop(columns=[*BARS])) for asset_id, bars in prices.items()
    }
    for asset_id, frame in features.items():
        if frame.empty:
            raise DataError(
                f"the first row of features needs 34 bars, and asset {asset_id!r} has {len(prices[asset_id])}; "
                f"bring earlier bars"
            )

    def choose(asset_id: str, frame: pd.DataFrame, first: pd.Timestamp, existing: pd.DatetimeIndex) -> pd.DataFrame:
        return _settled(asset_id, frame, prices[asset_id].index, first, existing)

    return write_features(
        features,
        db_url,
        table_name,
        on_conflict=on_conflict,
        dry_run=dry_run,
        left_out=left_out,
        choose=None if start_anew else choose,
    )


def _settled(
    asset_id: str, frame: pd.DataFrame, bars: pd.DatetimeIndex, first: pd.Timestamp, existing: pd.DatetimeIndex
) -> pd.DataFrame:
    """Return the rows of features that do not depend on where the bars begin, or all if no earlier rows exist."""
    if frame.index[0] <= first:
        return frame
    settled = frame[frame.index >= bars[SETTLED_BARS]] if len(bars) > SETTLED_BARS else frame[:0]
    is_new = ~frame.index.isin(existing)
    if len(settled) and not is_new[: len(frame) - len(settled)].any():
        return settled
    before = (
        f"{bars.searchsorted(frame.index[is_new][0])} before the first new row"
        if is_new.any()
        else f"{len(bars)} in all"
    )
    raise DataError(
        f"indicators need the whole history, or {SETTLED_BARS} bars before the first row to write: the rows of asset "
        f"{asset_id!r} begin at {first}, and these bars at {bars[0]} ({before}); bring earlier bars, or give "
        f"`start_anew` to compute the indicators from these bars only"
    )


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Parse pairs such as `close=Adj Close` into the wanted name and the file's own, or raise `UsageError`."""
    mapped: dict[str, str] = {}
    for pair in pairs:
        wanted, equals, own = pair.partition("=")
        if not (equals and wanted.strip() and own.strip()):
            raise UsageError(f"`column` must be like close=NAME, with the file's own name on the right, not {pair!r}")
        if wanted.strip() in mapped:
            raise UsageError(f"`column` must name each column once, not {wanted.strip()!r} twice")
        mapped[wanted.strip()] = own.strip()
    return mapped
