"""Forecasts of the best trial with the actual values: to look at, not to choose by."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ValidationError

from kallos.features.moments import Timestamp, timestamp
from kallos.features.snapshots import read_snapshot
from kallos.planning import StudyPlan
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scorer
from kallos.storage import Folder
from kallos.study.names import FORECASTS
from kallos.study.result import TuningResult


class FoldForecasts(BaseModel):
    """Forecasts of one fold's window for the first target and asset, each row once, in the target's own units.

    They are made from every `block`-th row, `block` rows ahead, so all steps of the horizon are equally frequent.
    `fingerprint` is that of the fold job. `rmse` is over all pairs of origin and step, including those left out here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    fold: int
    block: int
    rmse: float
    timestamps: tuple[Timestamp, ...]
    actual: tuple[float, ...]
    forecast: tuple[float, ...]


class BestForecasts(BaseModel):
    """The forecasts of a study's best trial on its last complete fold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    trial: int
    last_fold: FoldForecasts


def forecasts_of_best(
    plan: StudyPlan, result: TuningResult, folder: str, *, evaluate: Callable[[FoldJob], FoldResult]
) -> BestForecasts:
    """Return the best trial's forecasts and write them to the study's folder as `forecasts.json`.

    Forecasts of the same job in the folder are reused; `evaluate` returns all others. Raises what it does, and
    `KallosError` if the folder cannot be written.
    """
    job = plan.trial_jobs(result.best.number, result.best.params)[-1]
    kept = _read(folder)
    is_same = kept is not None and kept.last_fold.fingerprint == job.fingerprint
    last_fold = kept.last_fold if kept and is_same else _last_fold(plan, job, evaluate(job))
    made = BestForecasts(study=result.study_name, trial=result.best.number, last_fold=last_fold)
    Folder(folder).write(FORECASTS, made.model_dump_json() + "\n")
    return made


def _last_fold(plan: StudyPlan, job: FoldJob, result: FoldResult) -> FoldForecasts:
    fold, asset, forecast = job.folds[0], result.assets[0], next(result.forecasts())
    shown = forecast.point[:: asset.horizon, :, 0].ravel()
    moments = read_snapshot(plan.snapshot).index[fold.validation_start : fold.validation_stop]
    return FoldForecasts(
        fingerprint=job.fingerprint,
        fold=job.number,
        block=asset.horizon,
        rmse=Scorer.of(plan.spec).score(result, job.fingerprint).rmse,
        timestamps=tuple(timestamp(moment) for moment in moments[: len(shown)]),
        actual=tuple(asset.observed[: len(shown), 0].tolist()),
        forecast=tuple(shown.tolist()),
    )


def read_forecasts(result: TuningResult, folder: str) -> BestForecasts | None:
    """Return the best trial's forecasts from the folder, or None if it has none that can be read."""
    kept = _read(folder)
    return kept if kept is not None and (kept.study, kept.trial) == (result.study_name, result.best.number) else None


def _read(folder: str) -> BestForecasts | None:
    content = Folder(folder).read(FORECASTS)
    try:
        return None if content is None else BestForecasts.model_validate_json(content)
    except ValidationError:
        return None
