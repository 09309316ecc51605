"""What the literature reports, in its own protocol: `python -m benchmarks.etth1 [dlinear] [tide] [nhits] [exchange]`.

ETTh1 (Zhou et al., 2021, "Informer"; Zeng et al., 2023, "Are transformers effective for time series forecasting?"): all
seven columns are forecast, 8640 rows train, 2880 choose, 2880 test; errors are counted in standard deviations of the
training rows, over all columns, from every origin. Trials are compared on the middle rows, and the best one's model,
trained on the first rows alone, is scored on the test rows once. Training stops early on the last 5 % of the training
rows, and not on the middle rows as in the papers: those choose, and nothing else.

exchange_rate: the leaderboard of baseline and linear models on the last two walk-forward windows.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.studies import DATA
from kallos.architectures.linear import DLINEAR_DEFAULTS, DLINEAR_SPACE, NLINEAR_DEFAULTS, NLINEAR_SPACE
from kallos.architectures.recipe import Architecture, ModelContext, Params, darts_arguments
from kallos.baselines.forecasts import baseline_forecasts
from kallos.baselines.window import Window
from kallos.features.frequency import Frequency
from kallos.features.snapshots import frame_sha256, write_snapshot
from kallos.folds.cut import Fold
from kallos.planning import plan_study
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry, leaderboard_markdown
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.metrics import rmse
from kallos.scoring.score import Scorer
from kallos.specs.files import merge
from kallos.specs.study import TuneSpec
from kallos.study.best_params import BestParams
from kallos.tuner import run_tuning
from kallos.words import shorten

if TYPE_CHECKING:
    from darts.models import DLinearModel, NLinearModel

TRAIN, VALIDATION, TEST = 8640, 2880, 2880
# What the literature has for the last value at horizon 96, and for DLinear: mean square errors.
PUBLISHED: Mapping[int, Mapping[str, float]] = {24: {}, 96: {"last": 1.295, "dlinear": 0.375}}
MODELS: Mapping[str, str] = {"dlinear": "benchmarks.etth1:DLINEAR", "tide": "tide", "nhits": "nhits"}
INPUTS = {"type": "categorical", "choices": [96, 192, 336]}
# Levels drift: without reversible instance normalisation no network keeps up, as their papers have it.
SPACES: Mapping[str, Mapping[str, Any]] = {
    "dlinear": {"input_chunk_length": INPUTS},
    "tide": {"input_chunk_length": INPUTS, "use_reversible_instance_norm": True},
    "nhits": {"input_chunk_length": INPUTS, "use_reversible_instance_norm": True},
}


def build_dlinear(params: Params, context: ModelContext) -> "DLinearModel":
    """Return DLinear as published: one layer for all columns, each forecast from its own past."""
    from darts.models import DLinearModel

    return DLinearModel(shared_weights=True, **darts_arguments(params, context))


def build_nlinear(params: Params, context: ModelContext) -> "NLinearModel":
    """Return NLinear as published: one layer for all columns, each forecast from its own past."""
    from darts.models import NLinearModel

    return NLinearModel(shared_weights=True, **darts_arguments(params, context))


# With several targets, Darts' own default has a weight from each column's past to each column's future.
DLINEAR = Architecture("shared_dlinear", DLINEAR_SPACE, DLINEAR_DEFAULTS, build_dlinear)
NLINEAR = Architecture("shared_nlinear", NLINEAR_SPACE, NLINEAR_DEFAULTS, build_nlinear)


def hours() -> pd.DataFrame:
    """Return ETTh1."""
    return pd.read_csv(DATA / "ETTh1.csv.gz").drop(columns="date")


def etth1(
    model: str,
    horizon: int,
    folder: str,
    table: pd.DataFrame,
    split: tuple[int, int, int] = (TRAIN, VALIDATION, TEST),
    **over: Any,
) -> str:
    """Tune on the first two parts, score the best trial once on the third, and return a row of the table."""
    train, validation, test_rows = split
    rows = table.iloc[: train + validation + test_rows]
    spec = _spec(
        {
            "model_name": MODELS[model],
            "space": SPACES[model],
            "data": {"asset_id": "ETTh1"},
            "features": {"target": list(rows.columns)},
            "folds": {"n_folds": 1, "window": validation},
            "training": {"max_epochs": 15, "patience": 4, "inner_validation": 0.05},
            "horizon": horizon,
            "n_trials": 8,
        },
        over,
    )
    started = time.perf_counter()
    plan = plan_study(rows.iloc[: train + validation], spec, folder)
    assert vars(plan.folds[0].folds[0]) == vars(Fold(1, 0, train, train, train + validation))
    result = run_tuning(plan)
    # Rows between training and test are seen by forecasts, and by no weight and no scale.
    fold = Fold(1, 0, train, train + validation, len(rows))
    rows = rows.astype(float)
    test = replace(
        plan.job("test", result.best.params, plan.folds[0]),
        folds=(fold,),
        snapshot=write_snapshot(rows, folder),
        rows_sha256=frame_sha256(rows),
    )
    score = Scorer.of(spec).score(evaluate_fold(test), test.fingerprint)
    window = Window.of_fold(rows, fold, spec, Frequency(None))
    last = rmse(baseline_forecasts(window, ["last"])["last"].point - window.actual)
    published = PUBLISHED.get(horizon, {})
    return (
        f"| {model}, {horizon} | {last**2:.3f} | {published.get('last', '')} | {score.rmse**2:.3f} | {score.mae:.3f} "
        f"| {published.get(model, '')} | {1 - score.rmse**2 / last**2:.0%} | {result.best_value**2:.3f} "
        f"| {result.best.params} | {time.perf_counter() - started:.0f} s |"
    )


def rates() -> pd.DataFrame:
    """Return exchange_rate."""
    return pd.read_csv(
        DATA / "exchange_rate.txt.gz", header=None, names=["AU", "GB", "CA", "CH", "CN", "JP", "NZ", "SG"]
    )


def exchange(horizon: int, folder: str, rows: pd.DataFrame, **over: Any) -> str:
    """Tune linear models on the last two windows of exchange rates, and return the leaderboard."""
    entries = []
    for model in ("benchmarks.etth1:DLINEAR", "benchmarks.etth1:NLINEAR", "ridge"):
        spec = _spec(
            {
                "model_name": model,
                "space": _exchange_space(model),
                "data": {"asset_id": f"exchange, {horizon}"},
                "features": {"target": list(rows.columns)},
                "folds": {"n_folds": 2, "window": 758},
                "training": {"max_epochs": 6, "patience": 3},
                "horizon": horizon,
                "n_trials": 3,
            },
            over,
        )
        result = run_tuning(plan_study(rows, spec, folder))
        entries.append(LeaderboardEntry.of(spec, BestParams.of(result)))
    return leaderboard_markdown(Leaderboard(entries=tuple(entries)))


def _spec(values: dict[str, Any], over: dict[str, Any]) -> TuneSpec:
    return TuneSpec.model_validate(merge(values, over))


def _exchange_space(model: str) -> Mapping[str, Any]:
    return {} if model == "ridge" else {"input_chunk_length": {"type": "categorical", "choices": [48, 96]}}


def main() -> None:
    """Print what was asked for, or all."""
    parts = [*MODELS, "exchange"]
    asked = sys.argv[1:] or parts
    if unknown := set(asked) - set(parts):
        sys.exit(f"parts are {', '.join(parts)}, and {shorten(sorted(unknown))} is none of them")
    with tempfile.TemporaryDirectory(prefix="kallos-literature-") as folder:
        for model in filter(asked.__contains__, MODELS):
            for horizon in (24, 96):
                sys.stdout.write(f"{etth1(model, horizon, folder, hours())}\n")
                sys.stdout.flush()
        if "exchange" in asked:
            sys.stdout.write(exchange(96, folder, rates()))


if __name__ == "__main__":
    main()
