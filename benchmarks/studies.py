"""The two studies that are measured, on real data that lies beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kallos.datasets import load_features_from_db
from kallos.features.files.indicators import compute_indicators
from kallos.features.store import FeatureStore
from kallos.planning import StudyPlan, plan_study
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scorer
from kallos.specs.files import merge
from kallos.specs.study import TuneSpec

DATA = Path(__file__).parents[2] / "shared" / "data"

# Each study ends where its untouched window begins: 92 days, and 500 hours.
STUDIES: dict[str, dict[str, Any]] = {
    "btc": {
        "model_name": "gru",
        "data": {"asset_id": "BTC", "start_date": "2020-08-23", "end_date": "2024-09-30"},
        "folds": {"n_folds": 5},
        "training": {"max_epochs": 8, "patience": 3},
        "n_trials": 30,
    },
    "etth1": {
        "model_name": "gru",
        "data": {
            "asset_id": "OT",
            "features_table": "etth1",
            "start_date": "2018-02-01 00:00",
            "end_date": "2018-06-05 23:00",
        },
        "features": {"target": "OT"},
        "horizon": 24,
        "folds": {"n_folds": 3, "window": 250},
        "training": {"max_epochs": 5, "patience": 3},
        "n_trials": 20,
    },
}
_UNTOUCHED: dict[str, dict[str, Any]] = {
    "btc": {"data": {"end_date": "2024-12-31"}, "folds": {"n_folds": 1}},
    "etth1": {"data": {"end_date": "2018-06-26 19:00"}, "folds": {"n_folds": 1, "window": 500}},
}


def spec_of(study: str, **over: Any) -> TuneSpec:
    """Return a study's specification, with values laid over it."""
    return TuneSpec.model_validate(merge(STUDIES[study], over))


def study_file(study: str, **over: Any) -> str:
    """Return a study's file, with values laid over it."""
    values = merge(STUDIES[study], over)
    # What JSON has for these values is TOML, too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for table, fields in values.items():
        if isinstance(fields, dict):
            lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    return "\n".join(lines) + "\n"


def plan_of(spec: TuneSpec, home: Path) -> StudyPlan:
    """Return the plan of a study on the features that `write_features` left in a home."""
    features = load_features_from_db(features_url(home), **spec.data.model_dump(exclude={"fill", "market"}))
    return plan_study(features, spec, str(home / "snapshots"))


def untouched_job(study: str, params: dict[str, Any], home: Path, **over: Any) -> FoldJob:
    """Return the job that trains on all that a study saw, and scores the window behind it."""
    plan = plan_of(TuneSpec.model_validate(merge(merge(STUDIES[study], over), _UNTOUCHED[study])), home)
    (job,) = plan.trial_jobs(0, params)
    return job


def rmse_of(job: FoldJob, result: FoldResult) -> float:
    """Return the RMSE of a job's forecasts."""
    return Scorer.by("rmse", job.fit.features.variance_powers).score(result, job.fingerprint).rmse


def features_url(home: Path) -> str:
    """Return the URL of the features database in a home."""
    return f"sqlite:///{home / 'features.db'}"


def write_features(home: Path) -> None:
    """Put the features of both studies into a home's database."""
    bars = pd.read_csv(DATA / "yahoo_crypto_ohlcv_to2024.csv.gz", parse_dates=["date"])
    btc = bars[bars["asset"] == "BTC"].drop(columns="asset").set_index("date")
    etth1 = pd.read_csv(DATA / "ETTh1.csv.gz", parse_dates=["date"], index_col="date")
    with FeatureStore(features_url(home)) as store:
        store.write({"BTC": compute_indicators(btc)})
        store.write({"OT": etth1}, table_name="etth1")
