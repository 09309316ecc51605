"""Small data, and jobs on it, that tests are run on."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from kallos.architectures import get_architecture
from kallos.baselines.forecasts import baseline_forecasts
from kallos.baselines.window import Window
from kallos.features.frequency import Frequency
from kallos.folds.cut import Fold
from kallos.planning import StudyPlan, plan_study
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.metrics import measure
from kallos.scoring.permutation import PermutedFold
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.scoring.score import FoldScore, Scorer
from kallos.specs.files import merge
from kallos.specs.study import TuneSpec


def make_features(n_rows: int = 400, *, seed: int = 0, start: str = "2020-01-01", freq: str = "D") -> pd.DataFrame:
    """Return a feature table with a column of every group, and a target that follows them a little."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(start, periods=n_rows, freq=freq, name="timestamp", unit="ns")
    signal = rng.normal(size=n_rows)
    target = 0.01 * (0.5 * np.r_[0.0, signal[:-1]] + rng.normal(size=n_rows))
    return pd.DataFrame(
        {
            "log_return_close": target,
            "log_return_open": 0.01 * signal,
            "volume": np.exp(rng.normal(10, 1, n_rows)),
            "rsi_14": rng.uniform(0, 100, n_rows),
            "macd": rng.standard_t(3, n_rows),
            "roc_5": rng.normal(0, 5, n_rows),
            "weekday": index.dayofweek.to_numpy(float),
        },
        index=index,
    )


SMALL: dict[str, Any] = {
    "model_name": "gru",
    "data": {"asset_id": "ABC"},
    "folds": {"n_folds": 2, "window": 40},
    "training": {"max_epochs": 2},
    "n_trials": 3,
}


def small_spec(**over: Any) -> TuneSpec:
    """Return a study that takes seconds, with these values laid over it."""
    return TuneSpec.model_validate(merge(SMALL, over))


def small_plan(folder: Path, frame: pd.DataFrame | None = None, **over: Any) -> StudyPlan:
    """Return the plan of a study that takes seconds."""
    return plan_study(make_features() if frame is None else frame, small_spec(**over), str(folder / "snapshots"))


def small_job(folder: Path, frame: pd.DataFrame | None = None, *, fold: int = 0, **over: Any) -> FoldJob:
    """Return the job of an architecture's defaults on one fold of a small study."""
    plan = small_plan(folder, frame, **over)
    return plan.trial_jobs(0, dict(get_architecture(next(iter(plan.space.spaces))).defaults))[fold]


def baseline_values(frame: pd.DataFrame, fold: Fold, spec: TuneSpec) -> dict[str, float]:
    """Return the error of each baseline in a fold of numbered rows, by the study's metric."""
    window = Window.of_fold(frame, fold, spec, Frequency(None))
    forecasts = baseline_forecasts(window)
    return {name: measure(spec.metric, each, window.actual, window.scoring) for name, each in forecasts.items()}


def fold_result(job: FoldJob, error: float, *, by_target: Sequence[float] | None = None, **fit: Any) -> FoldResult:
    """Return a forecast of zeros from one origin, of this error by each measure, on each asset and target."""
    errors = np.array([error for _ in job.fit.features.targets] if by_target is None else by_target)
    ones = np.ones(len(errors))
    quantiles = np.tile(errors[None, None, :, None], (1, job.fit.horizon, 1, len(job.fit.levels)))
    asset = AssetForecasts(
        quantiles=quantiles,
        observed=np.zeros((job.fit.horizon, len(errors))),
        reference=np.zeros((1, len(errors))),
        unit=ones,
        change=ones,
        rows_per_year=np.array([365.25]),
    )
    return FoldResult(
        fit=FoldFit.model_validate({"epochs": 1, "best_epoch": 1, "seconds": 2.0, **fit}),
        levels=job.fit.levels,
        to_median=np.ones((2, job.fit.horizon, len(errors))),
        assets=(asset,) * len(job.folds),
    )


def score_of(job: FoldJob, result: FoldResult, metric: str = "rmse") -> FoldScore:
    """Return the score of a job's result by a metric."""
    return Scorer.by(metric, job.fit.features.variance_powers).score(result, job.fingerprint)


def evaluated(job: FoldJob, metric: str = "rmse") -> FoldScore:
    """Fit a job, and return the score of its forecasts."""
    return score_of(job, evaluate_fold(job), metric)


def content_of(job: FoldJob, result: FoldResult) -> bytes:
    """Return all bits of a job's result but the seconds that it took."""
    return replace(result, fit=result.fit.model_copy(update={"seconds": 0.0})).content(job.fingerprint)


def by_learning_rate(job: FoldJob) -> FoldResult:
    """Forecast with a closed form of the error: the learning rate, and a tenth more on each later fold."""
    return fold_result(job, job.fit.params["lr"] + 0.1 * (job.number - 1))


def error_by_parameters(job: FoldJob) -> float:
    """Return an error in closed form with a best place, on folds of unlike hardness, with noise of its own."""
    params = job.fit.params
    noise = random.Random(f"{sorted(params.items())}{job.number}").uniform(0, 0.02)
    error = 0.2 + (math.log10(params["lr"]) + 3) ** 2 + 0.05 * params["n_rnn_layers"] + 0.001 * params["hidden_dim"]
    return float(error * (1 + 0.3 * job.number) + noise)


def by_parameters(job: FoldJob) -> FoldResult:
    """Forecast with the error of `error_by_parameters`."""
    return fold_result(job, error_by_parameters(job))


def no_column_matters(work: Any, job: FoldJob) -> PermutedFold:
    """Return what `permuted_errors` returns of a model that reads no column, without a fit."""
    return PermutedFold(np.ones(2), np.zeros((len(work.keywords["groups"]), 2)))


def stand_in_pool(evaluate: Callable[[FoldJob], FoldResult]) -> SimpleNamespace:
    """Return what stands in for a `FoldPool`: it evaluates folds by this function, and no columns."""

    def run(work: Any, job: FoldJob) -> Any:
        is_of_columns = "groups" in getattr(work, "keywords", {})
        return no_column_matters(work, job) if is_of_columns else work(job)

    return SimpleNamespace(evaluate=evaluate, run=run)
