"""A fold's job carried out: the model is fitted, forecasts are made and scored."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.architectures import Params, create_model, get_architecture
from kallos.errors import DataError, FitError, KallosError, require
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import PreparedFold, prepare_fold
from kallos.folds.grid import Fold, InnerCut
from kallos.folds.panel import inner_cuts
from kallos.scoring.job import FoldJob, FoldScore, rows_sha256
from kallos.scoring.metrics import Forecast, mean, mean_of_each, measure, measure_by_target, rmse
from kallos.scoring.rolling import rolling_forecasts
from kallos.scoring.targets import actual_targets, error_unit
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import RMSE
from kallos.specs.study import TrainingSpec
from kallos.words import scrubbed

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Array = npt.NDArray[np.float64]


def training_cuts(
    index: pd.Index, folds: Sequence[Fold], model_name: str, training: TrainingSpec, *, lead: int, horizon: int
) -> tuple[InnerCut, ...]:
    """Return where in each asset's fold the rows end that fit the weights, and those begin that stop early, if any do.

    `index` is that of the frame in which the folds lie; the cuts are counted from a fold's first row.
    """
    if not get_architecture(model_name).stops_early:
        n_rows = [fold.train_stop - fold.train_start for fold in folds]
        return tuple(InnerCut(fit_stop=n, inner_start=n) for n in n_rows)
    stamps = [index[fold.train_start : fold.train_stop] for fold in folds]
    return inner_cuts(stamps, training.inner_validation, lead=lead, horizon=horizon)


@dataclass(frozen=True)
class FittedFold:
    """A model with the weights of its best epoch, and the series that it was fitted on, those of each asset."""

    model: "GlobalForecastingModel"
    prepared: PreparedFold
    epochs: int
    best_epoch: int
    beside: tuple[PreparedFold, ...] = ()

    @property
    def series(self) -> tuple[PreparedFold, ...]:
        """The series of each asset."""
        return (self.prepared, *self.beside)


def evaluate_fold(job: FoldJob) -> FoldScore:
    """Train a model on the fold's past, forecast its validation window, and score it.

    Pure, and the same to the bit for the same job on the same kind of machine. Origins are all rows whose
    whole horizon lies in the window; the score runs over all (origin, step) pairs, that of several assets is the mean
    of theirs.

    Raises `FitError` if the model cannot be built or trained, or the score is not finite: properties of the
    job, which no retry mends.
    """
    require(FoldJob, job=job)
    # The clock counts the fit, and not what a process imports before its first one.
    import_module("darts.models")
    import_module("kallos.scoring.training")
    started = time.perf_counter()
    fitted = fit_fold(job)
    frame = read_snapshot(job.snapshot)
    each = errors_by_asset(job, fitted, frame)
    by_metric = [asset.measured for asset in each]
    return FoldScore(
        rmse=mean([asset.rmse for asset in each]),
        mae=mean([asset.mae for asset in each]),
        measured=None if job.metric == RMSE else mean(by_metric),
        by_asset=tuple(by_metric) if job.beside else None,
        by_target=mean_of_each([asset.by_target for asset in each]) or None,
        n_forecasts=sum(asset.n_forecasts for asset in each),
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class FoldErrors:
    """The errors of an asset's forecasts; `measured` is that by the study's metric, and `by_target`, of several."""

    rmse: float
    mae: float
    measured: float
    by_target: tuple[float, ...]
    n_forecasts: int


def errors_by_asset(job: FoldJob, fitted: FittedFold, frame: pd.DataFrame) -> list[FoldErrors]:
    """Return the errors of each asset's forecasts; raises `FitError` if one of these is not finite."""
    return [_errors_of(job, fitted, frame, place) for place in range(len(job.folds))]


def _errors_of(job: FoldJob, fitted: FittedFold, frame: pd.DataFrame, place: int) -> FoldErrors:
    fold = job.folds[place]
    unit = error_unit(frame, fold, job.features, is_alone=not job.beside)
    forecast = forecasts_of(job, fitted, place).over(unit)
    actual = actual_targets(frame, fold, job.features, forecast.point.shape[1]) / unit
    errors = forecast.point - actual
    if not np.isfinite(errors).all() or not (forecast.quantiles is None or np.isfinite(forecast.quantiles).all()):
        raise FitError(f"forecasts must be finite, and those of {job.model_name} are not")
    return FoldErrors(
        rmse=rmse(errors),
        mae=float(np.abs(errors).mean()),
        measured=measure(job.metric, forecast, actual),
        by_target=measure_by_target(job.metric, forecast, actual) if len(job.features.targets) > 1 else (),
        n_forecasts=errors.size,
    )


def fit_fold(job: FoldJob) -> FittedFold:
    """Return the model of a job, trained on the fold's training rows alone; raises as `evaluate_fold`."""
    from kallos.scoring.training import quiet_single_thread

    frame = read_snapshot(job.snapshot)  # One that cannot be read is no fault of the job.
    cuts = cuts_of(job, frame)
    fit_stops = tuple(cut.fit_stop for cut in cuts)
    with quiet_single_thread(), errors_of(job.model_name):
        return fit_prepared(
            _prepared(job.snapshot, job.rows_sha256, job.folds, job.features, fit_stops),
            cuts,
            job.model_name,
            job.params,
            training=job.training,
            lead=job.features.lead,
            horizon=job.horizon,
            seed=job.seed,
            quantiles=job.quantiles,
        )


def cuts_of(job: FoldJob, frame: pd.DataFrame) -> tuple[InnerCut, ...]:
    """Return where in each asset's fold the rows end that fit the weights, and those begin that stop early."""
    return training_cuts(
        frame.index, job.folds, job.model_name, job.training, lead=job.features.lead, horizon=job.horizon
    )


def fit_prepared(
    series: Sequence[PreparedFold],
    cuts: Sequence[InnerCut],
    model_name: str,
    params: Params,
    *,
    training: TrainingSpec,
    lead: int,
    horizon: int,
    seed: int,
    quantiles: tuple[float, ...] | None = None,
) -> FittedFold:
    """Return a model that was trained on the folds' training rows before the cuts, stopped early on those behind."""
    from kallos.scoring.training import early_stopping, fit

    model = create_model(
        model_name,
        params,
        horizon=horizon,
        lead=lead,
        max_epochs=training.max_epochs,
        seed=seed,
        make_callbacks=lambda: early_stopping(training.patience),
        has_covariates=series[0].past_covariates is not None,
        quantiles=quantiles,
    )
    epochs, best_epoch = fit(model, series, cuts)
    return FittedFold(model, series[0], epochs, best_epoch, beside=tuple(series[1:]))


def forecast_fold(job: FoldJob, fitted: FittedFold) -> Array:
    """Return point forecasts of the validation window in the target's own units, of shape (origins, steps).

    Several targets are along one more axis.
    """
    return forecasts_of(job, fitted).point


def forecasts_of(job: FoldJob, fitted: FittedFold, place: int = 0) -> Forecast:
    """Return forecasts of the validation window in the target's own units, with the job's quantiles.

    Of several assets they are those of the one in this place.
    """
    from kallos.scoring.training import quiet_single_thread

    with quiet_single_thread(), errors_of(job.model_name):
        values = _forecast(fitted.model, fitted.series[place], job.horizon, job.forecast, job.quantiles)
    return Forecast.of(values, job.quantiles)


@contextmanager
def errors_of(model_name: str) -> Iterator[None]:
    """Say what a library makes of a model's parameters and rows as `FitError`: it will make the same of them again."""
    try:
        yield
    except (KallosError, OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        # What torch and threading say with a RuntimeError is the machine's state, not the job's.
        if "allocate memory" in str(error) or "start new thread" in str(error):
            raise MemoryError(str(error)) from error
        raise FitError(f"{model_name} cannot be fitted: {type(error).__name__}: {error}") from error


def _forecast(
    model: "GlobalForecastingModel",
    prepared: PreparedFold,
    horizon: int,
    mode: str,
    quantiles: tuple[float, ...] | None,
) -> Array:
    """Return forecasts in the target's own units, as `rolling_forecasts` does; in mode `block` from one origin."""
    fold = prepared.fold
    if mode == "block":
        whole = model.predict(
            fold.validation_stop - fold.validation_start,
            series=prepared.target[: fold.validation_start - model.output_chunk_shift],
            past_covariates=prepared.past_covariates,
            verbose=False,
        )
        return prepared.target_scale.restore(whole.values().reshape(1, -1))
    return rolling_forecasts(model, prepared, fold.validation_start, horizon, quantiles)


@lru_cache(maxsize=32)
def _prepared(
    snapshot: str, content: str, folds: tuple[Fold, ...], features: FeatureSpec, fit_rows: tuple[int, ...]
) -> tuple[PreparedFold, ...]:
    frame = read_snapshot(snapshot)
    if rows_sha256(frame, folds) != content:
        raise DataError(f"a snapshot must hold the rows that a job was made for, and {scrubbed(snapshot)} holds others")
    return tuple(
        prepare_fold(frame, fold, features, fit_rows=n_rows) for fold, n_rows in zip(folds, fit_rows, strict=True)
    )
