"""The unit of all work: one parameter set, trained and scored on one fold."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from kallos.architectures import Params, create_model, get_architecture
from kallos.datasets import prepare_darts_timeseries
from kallos.errors import DataError, FitError, KallosError
from kallos.folds import Fold, cut_inner
from kallos.preprocessing import PreparedFold
from kallos.snapshots import frame_sha256, read_snapshot
from kallos.specs import FeatureSpec, TrainingSpec

if TYPE_CHECKING:
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

Array = npt.NDArray[np.float64]

# Raise this whenever a change to preparation, training or scoring moves a single bit of a score.
EVALUATION_VERSION = 1


class FoldScore(BaseModel):
    """How one parameter set did on one fold; errors are in the target's own units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rmse: float
    mae: float
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True)
class FoldJob:
    """All that a fold's score depends on, and beside it a name for people and the rows' address."""

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

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that may move a bit of the score, and of nothing else."""
        content = {
            "evaluation": EVALUATION_VERSION,
            "rows": self.rows_sha256,
            "fold": vars(self.fold.shifted()),
            # Which columns were taken is seen in the rows.
            "features": self.features.model_dump(mode="json", exclude={"columns", "known_ahead"}),
            "architecture": [self.model_name, get_architecture(self.model_name).source_sha256],
            "params": dict(self.params),
            "training": self.training.model_dump(mode="json"),
            "horizon": self.horizon,
            "forecast": self.forecast,
            "seed": self.seed,
            "machine": machine(),
        }
        canonical = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class FittedFold:
    """A model with the weights of its best epoch, and the series that it was fitted on."""

    model: "TorchForecastingModel"
    prepared: PreparedFold
    epochs: int
    best_epoch: int


def evaluate_fold(job: FoldJob) -> FoldScore:
    """Train a model on the fold's past, forecast its validation window, and score it.

    Pure, and the same to the bit for the same job on the same kind of machine. Origins are all rows whose
    whole horizon lies in the window; the score runs over all (origin, step) pairs.

    Raises `FitError` if the model cannot be built or trained, or the score is not finite: properties of the
    job, which no retry mends.
    """
    # The clock counts the fit, and not what a process imports before its first one.
    import_module("darts.models")
    import_module("kallos.training")
    started = time.perf_counter()
    fitted = fit_fold(job)
    forecasts = forecast_fold(job, fitted)
    errors = forecasts - _actual(read_snapshot(job.snapshot), job.fold, job.features.target, forecasts.shape[1])
    if not np.isfinite(errors).all():
        raise FitError(f"forecasts must be finite, and those of {job.model_name} are not")
    return FoldScore(
        rmse=rmse(errors),
        mae=float(np.abs(errors).mean()),
        n_forecasts=errors.size,
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        seconds=time.perf_counter() - started,
    )


def fit_fold(job: FoldJob) -> FittedFold:
    """Return the model of a job, trained on the fold's training rows alone; raises as `evaluate_fold`."""
    from kallos.training import early_stopping, fit, quiet_single_thread

    lead = job.features.lead
    cut = cut_inner(job.fold.shifted(), job.training.inner_validation, lead=lead, horizon=job.horizon)
    read_snapshot(job.snapshot)  # A snapshot that cannot be read is no fault of the job.
    with quiet_single_thread(), _errors_of(job):
        prepared = _prepared(job.snapshot, job.rows_sha256, job.fold, job.features, cut.fit_stop)
        model = create_model(
            job.model_name,
            job.params,
            horizon=job.horizon,
            lead=lead,
            max_epochs=job.training.max_epochs,
            seed=job.seed,
            make_callbacks=lambda: early_stopping(job.training.patience),
        )
        epochs, best_epoch = fit(
            model,
            prepared.target,
            prepared.past_covariates,
            fit_stop=cut.fit_stop,
            inner_start=cut.inner_start,
            train_stop=prepared.fold.train_stop,
        )
    return FittedFold(model, prepared, epochs, best_epoch)


def forecast_fold(job: FoldJob, fitted: FittedFold) -> Array:
    """Return forecasts of the validation window in the target's own units, of shape (origins, steps)."""
    from kallos.training import quiet_single_thread

    with quiet_single_thread(), _errors_of(job):
        return _forecast(fitted.model, fitted.prepared, job.horizon, job.forecast)


@contextmanager
def _errors_of(job: FoldJob) -> Iterator[None]:
    """Say what a library makes of a job as `FitError`: it will make the same of it again."""
    try:
        yield
    except (KallosError, OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        # What torch and threading say with a RuntimeError is the machine's state, not the job's.
        if "allocate memory" in str(error) or "start new thread" in str(error):
            raise MemoryError(str(error)) from error
        raise FitError(f"{job.model_name} cannot be fitted: {type(error).__name__}: {error}") from error


def naive_forecast_rmse(
    frame: pd.DataFrame, fold: Fold, features: FeatureSpec, horizon: int, forecast: str = "rolling"
) -> dict[str, float]:
    """Return the RMSE of each naive forecast over the very (origin, step) pairs that models are scored on.

    `zero` forecasts nothing but zeros, `last` repeats the last target known at the origin.
    """
    window = fold.validation_stop - fold.validation_start
    actual = _actual(frame, fold, features.target, window if forecast == "block" else horizon)
    target = frame[features.target].to_numpy(np.float64)
    origins = np.arange(fold.validation_start, fold.validation_start + len(actual)) - features.lead
    return {"zero": rmse(actual), "last": rmse(actual - target[origins][:, None])}


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def _actual(frame: pd.DataFrame, fold: Fold, target: str, horizon: int) -> Array:
    """Return the targets that are scored, of shape (origins, horizon)."""
    window = frame[target].to_numpy(np.float64)[fold.validation_start : fold.validation_stop]
    actual: Array = np.lib.stride_tricks.sliding_window_view(window, horizon)
    return actual


def _forecast(model: "TorchForecastingModel", prepared: PreparedFold, horizon: int, mode: str) -> Array:
    """Return forecasts in the target's own units, of shape (origins, horizon)."""
    fold = prepared.fold
    if mode == "block":
        whole = model.predict(
            fold.validation_stop - fold.validation_start,
            series=prepared.target[: fold.validation_start - model.output_chunk_shift],
            past_covariates=prepared.past_covariates,
            verbose=False,
        )
        return prepared.target_scale.restore(whole.values().reshape(1, -1))
    first_row = fold.validation_start - (model.input_chunk_length + model.output_chunk_shift)
    series = model.historical_forecasts(
        prepared.target[first_row:],
        past_covariates=None if prepared.past_covariates is None else prepared.past_covariates[first_row:],
        start=fold.validation_start - model.output_chunk_shift,
        forecast_horizon=horizon,
        retrain=False,
        last_points_only=False,
        verbose=False,
        show_warnings=False,
    )
    return prepared.target_scale.restore(np.stack([each.values(copy=False)[:, 0] for each in series]))


@lru_cache(maxsize=32)
def _prepared(snapshot: str, rows_sha256: str, fold: Fold, features: FeatureSpec, fit_rows: int) -> PreparedFold:
    frame = read_snapshot(snapshot)
    if frame_sha256(frame.iloc[fold.rows]) != rows_sha256:
        raise DataError(f"a snapshot must hold the rows that a job was made for, and {snapshot} holds others")
    return prepare_darts_timeseries(frame, fold, features, fit_rows=fit_rows)


@cache
def machine() -> dict[str, Any]:
    """Return what the bits of a fit depend on beside its job."""
    import torch

    libraries = ("darts", "numpy", "pytorch-lightning", "scikit-learn")
    return {
        **{name: version(name) for name in libraries},
        "torch": str(torch.__version__),
        "device": "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
