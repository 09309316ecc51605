"""Forecasts of the best trial with the actual values: to look at, not to choose by."""

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from kallos.features.moments import Timestamp, timestamp
from kallos.features.snapshots import read_snapshot
from kallos.planning import StudyPlan
from kallos.scoring.fold import errors_by_asset, fit_fold, forecasts_of
from kallos.scoring.job import FoldJob
from kallos.scoring.metrics import mean
from kallos.storage import Folder
from kallos.study.names import FORECASTS
from kallos.study.result import TuningResult


class FoldForecasts(BaseModel):
    """Forecasts of one fold's window for the first target and asset, each row once, in the target's own units.

    They are made from every `block`-th row, `block` rows ahead, so all steps of the horizon are equally frequent.
    `fingerprint` is that of the fold job. `rmse` is over all pairs of origin and step, including those left out here,
    so it equals the study's score if the fit is reproduced to the bit.
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


def last_fold_job(plan: StudyPlan, result: TuningResult) -> FoldJob:
    """Return the job of the best trial on the last complete fold."""
    return plan.trial_jobs(result.best.number, result.best.params)[-1]


def forecast_job(job: FoldJob) -> FoldForecasts:
    """Fit a job's model again and return its forecasts; raises `FitError` as `evaluate_fold` does."""
    fitted, frame = fit_fold(job), read_snapshot(job.snapshot)
    point = forecasts_of(job, fitted)[0].point
    block, fold = job.fit.horizon, job.folds[0]
    rows = frame.iloc[fold.validation_start : fold.validation_stop]
    target = rows[job.fit.features.targets[0]].to_numpy(np.float64)
    shown = point[::block, :, 0].ravel()
    return FoldForecasts(
        fingerprint=job.fingerprint,
        fold=job.number,
        block=block,
        rmse=mean([asset.rmse for asset in errors_by_asset(job, fitted, frame)]),
        timestamps=tuple(timestamp(moment) for moment in rows.index[: len(shown)]),
        actual=tuple(target[: len(shown)].tolist()),
        forecast=tuple(shown.tolist()),
    )


def forecasts_of_best(
    job: FoldJob,
    result: TuningResult,
    folder: str,
    *,
    forecast: Callable[[FoldJob], FoldForecasts],
    anew: bool = False,
) -> BestForecasts:
    """Return the best trial's forecasts and write them to the study's folder as `forecasts.json`.

    Forecasts of the same job in the folder are reused without a fit, unless `anew`. Raises what `forecast` does, and
    `KallosError` if the folder cannot be written.
    """
    kept = None if anew else _read(folder)
    is_same = kept is not None and kept.last_fold.fingerprint == job.fingerprint
    last_fold = kept.last_fold if kept and is_same else forecast(job)
    made = BestForecasts(study=result.study_name, trial=result.best.number, last_fold=last_fold)
    Folder(folder).write(FORECASTS, made.model_dump_json() + "\n")
    return made


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
