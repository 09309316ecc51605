"""The unit of all work: one parameter set, trained and scored on one fold."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from kallos.architectures import Params, create_model, get_architecture
from kallos.architectures.lookup import beside_source
from kallos.arguments import require
from kallos.errors import DataError, FitError, KallosError, scrubbed
from kallos.folds import Fold, InnerCut
from kallos.metrics import RMSE, Forecast, mean, mean_of_each, measure, measure_by_target, metric_source, rmse
from kallos.panel import inner_cuts
from kallos.preparation import PreparedSeries
from kallos.preprocessing import PreparedFold, prepare_fold
from kallos.scored_rows import actual_targets, error_unit
from kallos.snapshots import frame_sha256, read_snapshot
from kallos.specs import FeatureSpec, TrainingSpec
from kallos.versions import version_here

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Array = npt.NDArray[np.float64]

# Raise this whenever a change to preparation, training or scoring moves a single bit of a score.
EVALUATION_VERSION = 1


class FoldScore(BaseModel):
    """How one parameter set did on one fold; errors are in the target's own units, of several as `error_unit` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rmse: float
    mae: float
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float
    # Not written where it is the RMSE: such scores are as they were when nothing else could be minimised.
    measured: float | None = Field(None, exclude_if=lambda measured: measured is None)
    # Errors of each asset by the metric, of several: the others are means over the assets then.
    by_asset: tuple[float, ...] | None = Field(None, exclude_if=lambda by_asset: by_asset is None)
    # Errors of each target by the metric, of several; the cache has scores of before there were any.
    by_target: tuple[float, ...] | None = Field(None, exclude_if=lambda by_target: by_target is None)

    @property
    def value(self) -> float:
        """The error that the study minimises: `measured` by its metric, or the RMSE."""
        return self.rmse if self.measured is None else self.measured


@dataclass(frozen=True)
class FoldJob:
    """All that a fold's score depends on, and beside it a name for people and the rows' address.

    Where one model learns from several assets, `fold` is the first one's, and the others' are `beside` it.
    """

    name: str
    snapshot: str
    rows_sha256: str
    fold: Fold
    model_name: str
    params: Params
    features: FeatureSpec
    training: TrainingSpec
    horizon: int
    forecast: str
    seed: int
    metric: str = RMSE
    quantiles: tuple[float, ...] | None = None
    beside: tuple[Fold, ...] = ()

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The fold of each asset."""
        return (self.fold, *self.beside)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that may move a bit of the score."""
        architecture = get_architecture(self.model_name)
        content = {
            "evaluation": EVALUATION_VERSION,
            "rows": self.rows_sha256,
            "fold": vars(self.fold.shifted()),
            # Which columns were taken is seen in the rows.
            "features": self.features.model_dump(mode="json", exclude={"columns", "known_ahead"}),
            "architecture": [
                self.model_name,
                architecture.source_sha256,
                *beside_source(self.model_name),
                # What only some architectures need is not among what every machine has.
                *([_installed(architecture.requires)] if architecture.requires else []),
            ],
            "params": dict(self.params),
            "training": self.training.model_dump(mode="json"),
            "horizon": self.horizon,
            "forecast": self.forecast,
            "seed": self.seed,
            "machine": machine(),
            # What every job was before it could be chosen is not in the hash.
            **({} if self.metric == RMSE else {"metric": [self.metric, metric_source(self.metric)]}),
            **({} if self.quantiles is None else {"quantiles": self.quantiles}),
            **({"beside": [vars(fold.shifted()) for fold in self.beside]} if self.beside else {}),
        }
        canonical = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


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
    import_module("kallos.training")
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
    from kallos.training import quiet_single_thread

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
    from kallos.training import early_stopping, fit

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
    from kallos.training import quiet_single_thread

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


def rolling_forecasts(
    model: "GlobalForecastingModel",
    prepared: PreparedSeries,
    start: int,
    horizon: int,
    quantiles: tuple[float, ...] | None = None,
) -> Array:
    """Return forecasts from every origin whose whole horizon lies in the rows from `start` to the series' end.

    They are in the target's own units, of shape (origins, horizon): the first one's first step is row `start`. Several
    targets have an axis more, and so have the `quantiles` of a model that has learnt these, the last one.
    """
    first_row = start - rows_before(model)
    series = model.historical_forecasts(
        prepared.target[first_row:],
        past_covariates=None if prepared.past_covariates is None else prepared.past_covariates[first_row:],
        start=start - model.output_chunk_shift,
        forecast_horizon=horizon,
        retrain=False,
        last_points_only=False,
        verbose=False,
        show_warnings=False,
        predict_likelihood_parameters=quantiles is not None,
    )
    return in_own_units(np.stack([each.values(copy=False) for each in series]), prepared, quantiles)


def in_own_units(values: Array, prepared: PreparedSeries, quantiles: tuple[float, ...] | None) -> Array:
    """Return what Darts forecasts, of shape (origins, steps, components), as `rolling_forecasts` does."""
    # Of each target, Darts has its quantiles side by side.
    n_targets, n_levels = prepared.target.width, len(quantiles or [None])
    by_level = np.moveaxis(values.reshape(*values.shape[:2], n_targets, n_levels), 2, -1)
    restored: Array = np.moveaxis(prepared.target_scale.restore(by_level), -1, 2)
    restored = restored if quantiles is not None else restored[..., 0]
    return restored[:, :, 0] if n_targets == 1 else restored


def look_back(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast looks back on, the origin's the last of them."""
    # The furthest lag of Darts' own, below zero.
    return -int(model.extreme_lags[0])


def rows_before(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast needs before its first step, the purged ones that it does not see among them."""
    return look_back(model) + int(model.output_chunk_shift)


def rows_sha256(frame: pd.DataFrame, folds: Sequence[Fold]) -> str:
    """Return the hash of the rows that a fold sees of each asset."""
    parts = [frame.iloc[fold.rows] for fold in folds]
    return frame_sha256(parts[0] if len(parts) == 1 else pd.concat(parts))


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


@cache
def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # A package of one's own that is imported by another name than it is installed by.
        return None


@cache
def machine() -> dict[str, Any]:
    """Return what the bits of a fit depend on beside its job."""
    import torch

    libraries = ("darts", "numpy", "pytorch-lightning", "scikit-learn")
    return {
        **{name: version_here(name) for name in libraries},
        "torch": str(torch.__version__),
        "device": "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
