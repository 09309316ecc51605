"""A study with all that a report can show, made without a fit."""

import math
from pathlib import Path
from typing import Any

from kallos.errors import FitError
from kallos.evaluation.results import Comparison, ForecastScores, HoldoutEvaluation, Verdict
from kallos.models.manifest import Manifest, MemberRecord
from kallos.report.forecasts import BestForecasts, FoldForecasts
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.study.choice import Choice, Deflation, Member, Simplest
from kallos.study.result import TuningResult
from kallos.tuner import run_tuning
from tests.samples import error_by_parameters, fold_result, make_features, small_plan


def evaluate(job: FoldJob) -> FoldResult:
    """Evaluate a job as `by_parameters` does, but no worse than twice baseline, and fail the third trial."""
    if job.name.startswith("trial-2-"):
        raise FitError("the loss is <NaN>")
    rmse = 0.01 * (0.9 + math.tanh(0.1 * error_by_parameters(job)))
    return fold_result(job, rmse, epochs=3, best_epoch=2)


def study_result(folder: Path, **over: Any) -> TuningResult:
    """Return the result of a study of 24 trials on 3 folds and a current window."""
    spec = {"n_trials": 24, "folds": {"n_folds": 3, "window": 40}, **over}
    return run_tuning(small_plan(folder, make_features(390), **spec), evaluate=evaluate)


def best_forecasts(result: TuningResult, *, block: int = 1) -> BestForecasts:
    """Return forecasts of the best trial for four days, of the RMSE that its last fold has."""
    fold = FoldForecasts(
        fingerprint="f" * 64,
        fold=len(result.windows),
        block=block,
        rmse=result.best.scores[-1].rmse,
        timestamps=tuple(f"2020-11-{day}T00:00:00" for day in range(16, 20)),
        actual=(0.01, -0.02, 0.005, 0.015),
        forecast=(0.001, -0.002, 0.001, 0.0),
    )
    return BestForecasts(study=result.study_name, trial=result.best.number, last_fold=fold)


def holdout_evaluation(decision: str = "ship", **over: Any) -> HoldoutEvaluation:
    """Return an evaluation of ABC whose verdict is this."""
    against = Comparison(
        other="zero",
        skill=0.031,
        low=0.004,
        high=0.058,
        confidence=0.99,
        block_length=5.5,
        statistic=-2.86,
        p_value=0.0042,
    )
    scores = ForecastScores(
        values={"rmse": 0.0104, "mae": 0.008, "mase": 0.97, "direction": None, "rank_ic": 0.08, "sharpe": -1.5}
    )
    values = {
        "model_id": "gru-ABC-1",
        "champion_id": None,
        "asset_id": "ABC",
        "target": "log_return_close",
        "horizon": 1,
        "test_start": "2021-02-01T00:00:00",
        "test_end": "2021-04-30T00:00:00",
        "n_origins": 89,
        "data_sha256": "a" * 64,
        "level": 0.01,
        "scores": {"model": scores, "zero": scores, "ridge": scores},
        "rmse_by_member": {"3-42": 0.0104},
        "baseline": "zero",
        "against_baseline": against,
        "beside": {"ridge": against.model_copy(update={"other": "ridge", "low": -0.01})},
        "against_champion": None,
        "holdout_evaluations": 3,
        "tests": 2,
        "metric": "rmse",
        "direction": "minimize",
        "loss": "squared error",
        "compared_by_metric": "rmse",
        "verdict": Verdict(decision=decision, reasons=("the skill over <b>zero</b> is beyond chance",)),
    }
    return HoldoutEvaluation.model_validate({**values, **over})


def write_manifest(result: TuningResult, folder: Path, trial: int, **over: Any) -> str:
    """Leave a model's manifest among results, as if this trial had been trained, and return the model's id."""
    spec = result.spec
    manifest = Manifest(
        asset_id=spec.data.asset_id,
        model_label=spec.model_name,
        target=spec.features.only_target,
        horizon=spec.horizon,
        lead=spec.features.lead,
        columns=spec.features.targets,
        frequency="D",
        choice=Choice(choose="best", members=(Member(trial=trial, params=result.trials[trial].params, weight=1.0),)),
        seed_replication=None,
        members=(
            MemberRecord(
                trial=trial,
                architecture=spec.model_name,
                architecture_sha256="c" * 64,
                seed=42,
                weight=1.0,
                epochs=1,
                best_epoch=1,
                to_median=(((1.0,),), ((1.0,),)),
                preparation=f"preparation-{trial}.json",
                weights=f"weights-{trial}-42.safetensors",
            ),
        ),
        data=result.data,
        train_start=result.data.start,
        holdout_start=None,
        holdout_end=None,
        spec=spec,
        evaluation=1,
        versions={},
        machine={},
        files={},
        **{"study": result.study_name, "refit": "inner-validation", **over},
    ).named()
    model = folder / "models" / manifest.model_id
    model.mkdir(parents=True)
    (model / "manifest.json").write_text(manifest.model_dump_json())
    return manifest.model_id


def deflation(**over: Any) -> Deflation:
    """Return what is left of a skill of 5 %: 1.25 %."""
    values = {
        "apparent_skill": 0.05,
        "skill": 0.0125,
        "value": 0.0099,
        "baseline_value": 0.01,
        "overfitting": 0.4,
        "trials": 12,
        "resamples": 100,
        "method": "resampling of folds",
        "source": "Somebody (2018)",
    }
    return Deflation.model_validate({**values, **over})


def simplest(trial: int) -> Simplest:
    """Return the choice of a trial of 1,000 multiply-adds a forecast instead of one of 2,500."""
    return Simplest(trial=trial, params={}, value=0.01, operations=1000, best_operations=2500)
