"""What a night says of series whose answer is known: pure noise, an autoregression, a season, ETTh1, Bitcoin.

    python -m benchmarks.verdicts [--choose ensemble] [--cases noise,season] [--file FILE.json]

Each is a whole night without Prefect: a study, its choice, a training with two seeds, and the verdict on a hold-out
that nothing has seen. Some ten minutes on two cores.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.studies import DATA
from kallos.cache import FoldCache
from kallos.choosing.ensembles import FEWEST_FOLDS
from kallos.choosing.honest import honest_choice
from kallos.choosing.kept import KeptForecasts
from kallos.evaluation.models import ModelWithRows, evaluate_model, scored_dates
from kallos.evaluation.results import HoldoutEvaluation
from kallos.features.files.indicators import compute_indicators
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import study_frame, widths_of_columns
from kallos.models.holdout_evaluations import EvaluationCount
from kallos.models.trainer import choose, train
from kallos.planning import plan_study
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FitSpec
from kallos.scoring.operations import count_operations
from kallos.specs.files import merge
from kallos.specs.study import Choose, parse_tune_spec
from kallos.study.best_params import BestParams
from kallos.tuner import run_tuning

NOISE_SEEDS = 20
ROWS = 1060
# Daily rows: three validation windows and a hold-out of 400 days.
SMALL: dict[str, Any] = {
    "model_name": "gru",
    "n_trials": 6,
    "folds": {"n_folds": 3, "window": 80, "holdout": 5},
    "training": {"max_epochs": 10, "patience": 3},
}
# Hourly rows, a day ahead: three months to validate on, and three that are held out.
HOURS: dict[str, Any] = {
    "model_name": "dlinear",
    "n_trials": 6,
    "horizon": 24,
    "folds": {"n_folds": 3, "window": "month", "holdout": 3},
    "training": {"max_epochs": 8, "patience": 2},
}
Case = tuple[str, int]


def noise(seed: int) -> pd.DataFrame:
    """Return returns that nothing forecasts, and two columns that know nothing of them."""
    rng = np.random.default_rng(seed)
    return _table(0.01 * rng.standard_t(5, ROWS), rng)


def autoregression(seed: int) -> pd.DataFrame:
    """Return y_t = 0.6 y_(t-1) + e_t: the best forecast has RMSE 0.894 times that of the last value."""
    rng = np.random.default_rng(seed)
    values = np.zeros(ROWS)
    for row, shock in enumerate(rng.normal(size=ROWS)):
        values[row] = 0.6 * values[row - 1] + shock
    return _table(0.01 * values, rng)


def season(seed: int) -> pd.DataFrame:
    """Return a week's sine and noise of half its size: the best forecast has 0.707 times the error of last week's."""
    rng = np.random.default_rng(seed)
    return _table(np.sin(2 * np.pi * np.arange(ROWS) / 7) + 0.5 * rng.normal(size=ROWS), rng)


def etth1(_: int) -> pd.DataFrame:
    """Return the oil temperature and the loads of ETTh1, hour by hour."""
    table = pd.read_csv(DATA / "ETTh1.csv.gz", parse_dates=["date"], index_col="date").rename_axis("timestamp")
    return table.set_axis(pd.DatetimeIndex(table.index).as_unit("ns"))


def btc(_: int) -> pd.DataFrame:
    """Return Bitcoin's indicators to the end of 2024, of which nothing honest saves more than a percent or two."""
    bars = pd.read_csv(DATA / "yahoo_crypto_ohlcv_to2024.csv.gz", parse_dates=["date"])
    table = compute_indicators(bars[bars["asset"] == "BTC"].drop(columns="asset").set_index("date"))
    return table.set_axis(pd.DatetimeIndex(table.index, name="timestamp").as_unit("ns"))


def _table(target: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    index = pd.date_range("2021-01-01", periods=len(target), freq="D", name="timestamp", unit="ns")
    columns = {"target": target, "volume": np.exp(rng.normal(size=len(target))), "other": rng.normal(size=len(target))}
    return pd.DataFrame(columns, index=index)


# HAR knows the law of the autoregression.
BASELINES = ("zero", "last", "mean", "drift", "seasonal")
CASES: dict[str, Any] = {
    "noise": (noise, SMALL),
    "autoregression": (autoregression, SMALL | {"training": {"max_epochs": 20, "patience": 4}}),
    "season": (season, SMALL | {"training": {"max_epochs": 40, "patience": 6}}),
    # The hold-out is 2023 and 2024.
    "BTC": (
        btc,
        SMALL
        | {
            "features": {"target": "log_return_close"},
            "folds": {"n_folds": 4, "holdout": 8},
            "training": {"max_epochs": 8, "patience": 3},
        },
    ),
    "ETTh1 HUFL": (etth1, {**HOURS, "features": {"target": "HUFL"}}),
    "ETTh1 OT": (etth1, {**HOURS, "features": {"target": "OT"}}),
}


def night(case: Case, how: Choose, **over: Any) -> tuple[Case, HoldoutEvaluation]:
    """Run a case, with values laid over its study, from its rows to its verdict."""
    name, seed = case
    make, own = CASES[name]
    values = merge(own, over)
    frame = make(seed)
    features = {"target": "target", **values.get("features", {})}
    spec = parse_tune_spec(
        {**values, "data": {"asset_id": name}, "features": features, "seed": seed, "baselines": BASELINES}
    )
    if how == "ensemble":
        folds = spec.folds.model_copy(update={"n_folds": max(spec.folds.n_folds, FEWEST_FOLDS)})
        spec = spec.model_copy(update={"folds": folds})
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_study(frame, spec, folder)
        evaluate = FoldCache(Path(folder) / "folds").through(evaluate_fold)
        result = run_tuning(plan, evaluate=evaluate)
        widths = widths_of_columns(read_snapshot(plan.snapshot).columns, spec.features)
        found = honest_choice(
            KeptForecasts(plan, result, evaluate), lambda params: count_operations(FitSpec.of(spec, params), widths)
        )
        best = BestParams.of(result, found)
        model = train(best, plan.snapshot, choose(best, how), seeds=2)
    rows = study_frame(frame, spec.features)
    dates = scored_dates(model.manifest)
    challenger = ModelWithRows(model, rows.loc[: dates.end])
    return case, evaluate_model(challenger, dates, count=EvaluationCount(holdout_evaluations=1, tests=1)).evaluation


def cases() -> Iterator[Case]:
    """Yield every case with its seed, the longest first."""
    yield "ETTh1 HUFL", 42
    yield "ETTh1 OT", 42
    yield "BTC", 42
    for name in ("season", "autoregression"):
        yield from ((name, seed) for seed in range(3))
    yield from (("noise", seed) for seed in range(NOISE_SEEDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", choices=("best", "simplest", "ensemble"), default="best")
    parser.add_argument("--cases", default=",".join(CASES), help="some of the series, separated by commas")
    parser.add_argument("--file", type=Path, help="a file for all evaluations, as JSON")
    given = parser.parse_args()
    chosen = [case for case in cases() if case[0] in given.cases.split(",")]
    with ProcessPoolExecutor(2) as processes:
        found = list(processes.map(partial(night, how=given.choose), chosen))
    Console().print(table_of(found))
    silent = sum(case[0] == "noise" and each.verdict.decision != "ship" for case, each in found)
    print(f"noise: not shown {silent} times of {NOISE_SEEDS}")  # noqa: T201
    if given.file is not None:
        rows = [{"series": name, "seed": seed, **each.model_dump(mode="json")} for (name, seed), each in found]
        given.file.write_text(json.dumps(rows, indent=1) + "\n")


def table_of(found: Sequence[tuple[Case, HoldoutEvaluation]]) -> Table:
    """Return a row per case."""
    table = Table(title="verdicts on a hold-out, level 1 %", title_justify="left")
    for heading in ("series", "seed", "verdict", "against", "skill", "98 % interval", "p", "skill over ridge"):
        table.add_column(heading, justify="left" if heading in ("series", "verdict", "against") else "right")
    for (name, seed), evaluation in found:
        against = evaluation.against_baseline
        table.add_row(
            name,
            str(seed),
            evaluation.verdict.decision,
            against.other,
            f"{against.skill:+.1%}",
            f"{against.low:+.1%} to {against.high:+.1%}",
            f"{against.p_value:.2g}",
            f"{evaluation.beside['ridge'].skill:+.1%}",
        )
    return table


if __name__ == "__main__":
    main()
