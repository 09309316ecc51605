"""The two studies that are measured, on real data that lies beside the checkout."""

from pathlib import Path
from typing import Any

import pandas as pd

from kallos.feature_store import FeatureStore
from kallos.indicators import compute_indicators

DATA = Path(__file__).parents[2] / "shared" / "data"

BTC: dict[str, Any] = {
    "data": {"asset_id": "BTC", "start_date": "2020-11-23"},
    "folds": {"n_folds": 5},
    "training": {"max_epochs": 8, "patience": 5},
    "n_trials": 30,
}
ETTH1: dict[str, Any] = {
    "data": {"asset_id": "ETTH1", "features_table": "etth1", "start_date": "2018-02-21 20:00"},
    "features": {"target": "OT"},
    "horizon": 24,
    "folds": {"n_folds": 3, "step": 240},
    "training": {"max_epochs": 5, "patience": 5},
    "n_trials": 20,
}


def btc_features() -> pd.DataFrame:
    """Return the daily indicators of BTC."""
    bars = pd.read_csv(DATA / "yahoo_crypto_ohlcv_to2024.csv.gz", parse_dates=["date"])
    mine = bars[bars["asset"] == "BTC"].drop(columns="asset").set_index("date")
    return compute_indicators(mine)


def etth1_features() -> pd.DataFrame:
    """Return the hourly transformer data."""
    return pd.read_csv(DATA / "ETTh1.csv.gz", parse_dates=["date"], index_col="date")


def write_features(url: str) -> None:
    """Put the features of both studies into a database."""
    with FeatureStore(url) as store:
        store.write({"BTC": btc_features()})
        store.write({"ETTH1": etth1_features()}, table_name="etth1")
