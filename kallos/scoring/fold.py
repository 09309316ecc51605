"""Evaluating a fold job: the model is fitted, and its forecasts are scored."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kallos.architectures import create_model, get_architecture
from kallos.errors import DataError, FitError, KallosError, require
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import PreparedFold, prepare_fold
from kallos.folds.cut import Fold, InnerCut
from kallos.folds.panel import inner_cuts
from kallos.scoring.job import FitSpec, FoldJob, FoldScore, rows_sha256
from kallos.scoring.metrics import Forecast, ForecastErrors, errors_of, mean, mean_of_each
from kallos.scoring.rolling import rolling_forecasts
from kallos.scoring.targets import actual_targets, error_unit
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import QLIKE
from kallos.words import scrubbed

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


@dataclass(frozen=True)
class FittedFold:
    """A model with the weights of its best epoch, and the series of each asset."""

    model: "GlobalForecastingModel"
    series: tuple[PreparedFold, ...]
    epochs: int
    best_epoch: int


def evaluate_fold(job: FoldJob) -> FoldScore:
    """Train a model on the fold's past, forecast its validation window, and score the forecasts.

    Pure: the same job has the same score to the bit on the same kind of machine. Origins are all rows whose whole
    horizon lies in the window. The score covers all (origin, step) pairs and is the mean over the assets.

    Raises `FitError` if the model cannot be built or trained, or if a forecast is not finite, which a retry would not
    change.
    """
    require(FoldJob, job=job)
    # Import before the clock starts, so that it counts only the fit.
    import_module("darts.models")
    import_module("kallos.scoring.training")
    started = time.perf_counter()
    fitted = fit_fold(job)
    each = errors_by_asset(job, fitted, read_snapshot(job.snapshot))
    return FoldScore(
        value=mean([asset.value for asset in each]),
        rmse=mean([asset.rmse for asset in each]),
        mae=mean([asset.mae for asset in each]),
        by_asset=tuple(asset.value for asset in each),
        by_target=mean_of_each([asset.by_target for asset in each]),
        n_forecasts=sum(asset.n_forecasts for asset in each),
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        seconds=time.perf_counter() - started,
    )


def errors_by_asset(job: FoldJob, fitted: FittedFold, frame: pd.DataFrame) -> list[ForecastErrors]:
    """Return the errors of each asset's forecasts; raises `FitError` if a forecast is not finite."""
    each = []
    for fold, forecast in zip(job.folds, forecasts_of(job, fitted), strict=True):
        if not (np.isfinite(forecast.point).all() and np.isfinite(forecast.quantiles).all()):
            raise FitError(f"forecasts must be finite, and {job.fit.model_name} made others")
        unit = error_unit(frame, fold, job.fit.features, in_own_units=job.in_own_units)
        actual = actual_targets(frame, fold, job.fit.features, job.fit.horizon) / unit
        each.append(errors_of(job.metric, forecast.over(unit), actual, job.fit.features.variance_powers))
        if job.metric == QLIKE and each[-1].value == math.inf:
            raise FitError(
                f"forecasts must be positive with metric qlike, and {job.fit.model_name} made others: set "
                f"`target_transform` to 'log'"
            )
    return each


def fit_fold(job: FoldJob) -> FittedFold:
    """Return the model of a job, trained only on the fold's training rows; raises as `evaluate_fold` does."""
    from kallos.scoring.training import quiet_single_thread

    frame = read_snapshot(job.snapshot)  # Outside `as_fit_errors`: an unreadable snapshot is not the job's fault.
    cuts = training_cuts(frame.index, job.folds, job.fit)
    fit_stops = tuple(cut.fit_stop for cut in cuts)
    with quiet_single_thread(), as_fit_errors(job.fit.model_name):
        series = _prepared(job.snapshot, job.rows_sha256, job.folds, job.fit.features, fit_stops)
        return fit_prepared(series, cuts, job.fit)


def training_cuts(index: pd.Index, folds: Sequence[Fold], fit: FitSpec) -> tuple[InnerCut, ...]:
    """Return where in each asset's fold the rows for the weights end and the rows for early stopping, if any, begin.

    `index` is the frame's; the cuts are counted from a fold's first row.
    """
    if not get_architecture(fit.model_name).stops_early:
        n_rows = [fold.train_stop - fold.train_start for fold in folds]
        return tuple(InnerCut(fit_stop=n, inner_start=n) for n in n_rows)
    timestamps = [index[fold.train_start : fold.train_stop] for fold in folds]
    return inner_cuts(timestamps, fit.training.inner_validation, lead=fit.lead, horizon=fit.horizon)


def fit_prepared(series: Sequence[PreparedFold], cuts: Sequence[InnerCut], fit: FitSpec) -> FittedFold:
    """Return a model trained on the rows before the cuts, and stopped early on the training rows after them."""
    from kallos.scoring.training import early_stopping, train

    has_covariates = series[0].past_covariates is not None
    model = model_of_fit(fit, has_covariates, make_callbacks=lambda: early_stopping(fit.training.patience))
    epochs, best_epoch = train(model, series, cuts)
    return FittedFold(model, tuple(series), epochs, best_epoch)


def model_of_fit(
    fit: FitSpec,
    has_covariates: bool,
    *,
    max_epochs: int | None = None,
    make_callbacks: Callable[[], list[Any]] = list,
) -> "GlobalForecastingModel":
    """Return the untrained model of a fit; `max_epochs` overrides the fit's own."""
    return create_model(
        fit.model_name,
        fit.params,
        horizon=fit.horizon,
        lead=fit.lead,
        max_epochs=fit.training.max_epochs if max_epochs is None else max_epochs,
        seed=fit.seed,
        make_callbacks=make_callbacks,
        has_covariates=has_covariates,
        quantiles=fit.quantiles,
    )


def forecasts_of(job: FoldJob, fitted: FittedFold) -> list[Forecast]:
    """Return the forecasts of each asset's validation window, in the targets' own units."""
    from kallos.scoring.training import quiet_single_thread

    with quiet_single_thread(), as_fit_errors(job.fit.model_name):
        return [
            Forecast.of_quantiles(
                rolling_forecasts(fitted.model, each, each.fold.validation_start, job.fit.horizon), job.fit.levels
            )
            for each in fitted.series
        ]


@contextmanager
def as_fit_errors(model_name: str) -> Iterator[None]:
    """Turn a library's errors about parameters and rows, which would occur again, into `FitError`."""
    try:
        yield
    except (KallosError, OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        # These errors of torch and threading depend on the machine's state, not on the job.
        if "allocate memory" in str(error) or "start new thread" in str(error):
            raise MemoryError(str(error)) from error
        raise FitError(f"{model_name} cannot be fitted: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=32)
def _prepared(
    snapshot: str, content: str, folds: tuple[Fold, ...], features: FeatureSpec, fit_rows: tuple[int, ...]
) -> tuple[PreparedFold, ...]:
    frame = read_snapshot(snapshot)
    if rows_sha256(frame, folds) != content:
        raise DataError(f"a snapshot must have the rows of its jobs, and {scrubbed(snapshot)} has other rows")
    return tuple(
        prepare_fold(frame, fold, features, fit_rows=n_rows) for fold, n_rows in zip(folds, fit_rows, strict=True)
    )
