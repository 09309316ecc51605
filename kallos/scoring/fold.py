"""Evaluating a fold job: a model is fitted, and forecasts the fold's validation window."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.architectures import Units, Widths, create_model, get_architecture
from kallos.errors import DataError, FitError, KallosError, require
from kallos.features.frequency import rows_per_year
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import PreparedFold, prepare_fold
from kallos.folds.cut import Fold, InnerCut
from kallos.folds.panel import inner_cuts
from kallos.scoring.forecast import POWERS, Forecast
from kallos.scoring.job import FitSpec, FoldJob, rows_sha256
from kallos.scoring.recency import Recency
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.scoring.rolling import rolling_forecasts
from kallos.scoring.targets import error_unit, mean_change, reference_at, targets_of, windows_of
from kallos.scoring.training import fit_once, fit_until_it_stops, load_library, quiet_single_thread
from kallos.specs.data import FeatureSpec
from kallos.words import scrubbed

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedFold:
    """A model with the weights of its best epoch, and the series of each asset.

    `to_median`, of shape (powers, horizon, targets), is that of `Forecast.of_quantiles`.
    """

    model: "GlobalForecastingModel"
    series: tuple[PreparedFold, ...]
    epochs: int
    best_epoch: int
    to_median: Array


def evaluate_fold(job: FoldJob) -> FoldResult:
    """Train a model on the fold's past, and return its forecasts of the validation window.

    Pure: the same job has the same forecasts to the bit on the same kind of machine. Origins are all rows whose whole
    horizon lies in the window.

    Raises `FitError` if the model cannot be built or trained, or if a forecast is not finite, which a retry would not
    change.
    """
    require(FoldJob, job=job)
    # Before the clock starts, so that it counts only the fit.
    load_library(job.fit.model_name)
    started = time.perf_counter()
    fitted = fit_fold(job)
    assets = tuple(forecasts_with_actual(job, fitted, read_snapshot(job.snapshot)))
    fit = FoldFit(epochs=fitted.epochs, best_epoch=fitted.best_epoch, seconds=time.perf_counter() - started)
    result = FoldResult(fit, job.fit.levels, fitted.to_median, assets)
    if not all(forecast.is_finite for forecast in result.forecasts()):
        raise FitError(f"forecasts must be finite, and {job.fit.model_name} made others")
    return result


def forecasts_with_actual(job: FoldJob, fitted: FittedFold, frame: pd.DataFrame) -> Iterator[AssetForecasts]:
    """Yield the forecasts of each asset with what scores them; `frame` is that of the job's snapshot."""
    features = job.fit.features
    for fold, quantiles in zip(job.folds, quantiles_of(job, fitted), strict=True):
        rows = frame.iloc[fold.rows]
        values, start = targets_of(rows, features), fold.validation_start - fold.train_start
        origins = np.arange(start, start + len(quantiles), dtype=np.int64) - job.fit.lead
        yield AssetForecasts(
            quantiles=quantiles,
            observed=values[start:],
            reference=reference_at(values, origins),
            unit=error_unit(frame, fold, features, in_own_units=job.in_own_units),
            change=mean_change(values[: fold.train_stop - fold.train_start]),
            rows_per_year=np.array([rows_per_year(rows.index)]),
        )


def fit_fold(job: FoldJob, *, n_epochs: int | None = None) -> FittedFold:
    """Return the model of a job, trained only on the fold's training rows; raises as `evaluate_fold` does.

    With `n_epochs`, it is trained on every one of them for so many epochs, and none stop it early.
    """
    load_library(job.fit.model_name)
    frame = read_snapshot(job.snapshot)  # Outside `as_fit_errors`: an unreadable snapshot is not the job's fault.
    cuts = cuts_of_fit(frame.index, job.folds, job.fit)
    n_rows = rows_to_fit(job.folds, cuts, job.fit) if n_epochs is None else _training_rows(job.folds)
    with quiet_single_thread(), as_fit_errors(job.fit.model_name):
        series = _prepared(job.snapshot, job.rows_sha256, job.folds, job.fit.features, n_rows)
        if n_epochs is None:
            return fit_prepared(series, cuts, job.fit)
        return fit_every_row(series, cuts, job.fit, n_epochs=n_epochs)


def cuts_of_fit(index: pd.Index, folds: Sequence[Fold], fit: FitSpec) -> tuple[InnerCut, ...]:
    """Return where inner validation begins in each asset's fold, counted from the fold's first row.

    `index` is the frame's.
    """
    timestamps = [index[fold.train_start : fold.train_stop] for fold in folds]
    return inner_cuts(timestamps, fit.training.inner_validation, lead=fit.lead, horizon=fit.horizon)


def rows_to_fit(folds: Sequence[Fold], cuts: Sequence[InnerCut], fit: FitSpec) -> tuple[int, ...]:
    """Return how many rows of each asset's fold the weights and scales are fitted on."""
    if get_architecture(fit.model_name).stops_early:
        return tuple(cut.fit_stop for cut in cuts)
    return _training_rows(folds)


def _training_rows(folds: Sequence[Fold]) -> tuple[int, ...]:
    return tuple(fold.train_stop - fold.train_start for fold in folds)


def fit_prepared(series: Sequence[PreparedFold], cuts: Sequence[InnerCut], fit: FitSpec) -> FittedFold:
    """Return a model trained on the fold's training rows; those behind the cuts stop it early, if it stops early."""
    if not get_architecture(fit.model_name).stops_early:
        return fit_every_row(series, cuts, fit)
    model = model_of_fit(fit, widths_of(series), units=units_of(series, fit))
    recency, patience = Recency.of(fit.params), fit.training.patience
    epochs, best_epoch = fit_until_it_stops(model, series, cuts, recency, patience=patience)
    return FittedFold(model, tuple(series), epochs, best_epoch, _to_median(series, cuts, fit, lambda: model))


def fit_every_row(
    series: Sequence[PreparedFold], cuts: Sequence[InnerCut], fit: FitSpec, *, n_epochs: int | None = None
) -> FittedFold:
    """Return a model trained on all of the fold's training rows, a network for `n_epochs`."""

    def fitted(stops: list[int]) -> "GlobalForecastingModel":
        model = model_of_fit(fit, widths_of(series), units=units_of(series, fit), max_epochs=n_epochs)
        fit_once(model, series, stops, Recency.of(fit.params))
        return model

    # The model has seen all rows, so another one, which has not, tells how means differ from the median.
    ratio = _to_median(series, cuts, fit, lambda: fitted([cut.fit_stop for cut in cuts]))
    model = fitted([each.fold.train_stop for each in series])
    return FittedFold(model, tuple(series), n_epochs or 0, n_epochs or 0, ratio)


def widths_of(series: Sequence[PreparedFold]) -> Widths:
    """Return the widths of the series of one model."""
    return series[0].preparation.widths


def units_of(series: Sequence[PreparedFold], fit: FitSpec) -> Units | None:
    """Return the units of the series' targets, None if each of several series has its own."""
    if len(series) > 1:
        return None
    scale = series[0].target_scale
    return Units(scale.mean, scale.std, fit.features.variance_powers)


def _to_median(
    series: Sequence[PreparedFold],
    cuts: Sequence[InnerCut],
    fit: FitSpec,
    judge: "Callable[[], GlobalForecastingModel]",
) -> Array:
    """Return the ratios of a forecast's mean and root mean square to its median, of shape (powers, steps, targets).

    Without logarithms they are 1. With them, they are the mean of exp(residual), and the root of the mean of its
    square, over the forecasts of the inner validation rows by a model that was not fitted on them: Duan (1983),
    "Smearing estimate: A nonparametric retransformation method".
    """
    if fit.features.target_transform == "none":
        return np.ones((len(POWERS), fit.horizon, len(fit.features.targets)))
    model, ratios = judge(), []
    for each, cut in zip(series, cuts, strict=True):
        stop = each.fold.train_stop
        quantiles = rolling_forecasts(model, each, cut.inner_start, fit.horizon, stop)
        median = Forecast.of_quantiles(quantiles, fit.levels).point
        values = each.target_scale.restore(each.target[cut.inner_start : stop].values(copy=False))
        ratios.append(windows_of(values, fit.horizon) / median)
    every = np.concatenate(ratios)
    return np.stack([(every**power).mean(axis=0) ** (1 / power) for power in POWERS])


def model_of_fit(
    fit: FitSpec,
    widths: Widths,
    *,
    units: Units | None = None,
    max_epochs: int | None = None,
) -> "GlobalForecastingModel":
    """Return the untrained model of a fit; `max_epochs` overrides the fit's own.

    A model that will be trained has the `units` of its targets, if its loss reads them.
    """
    return create_model(
        fit.model_name,
        fit.params,
        horizon=fit.horizon,
        lead=fit.lead,
        max_epochs=fit.training.max_epochs if max_epochs is None else max_epochs,
        seed=fit.seed,
        widths=widths,
        quantiles=fit.quantiles,
        loss=fit.training.loss,
        units=units,
    )


def forecasts_of(job: FoldJob, fitted: FittedFold) -> list[Forecast]:
    """Return the forecasts of each asset's validation window, in the targets' own units."""
    return [Forecast.of_quantiles(each, job.fit.levels, fitted.to_median) for each in quantiles_of(job, fitted)]


def quantiles_of(job: FoldJob, fitted: FittedFold) -> list[Array]:
    """Return the quantiles of each asset's validation window, in the form of `rolling_forecasts`."""
    with quiet_single_thread(), as_fit_errors(job.fit.model_name):
        return [
            rolling_forecasts(fitted.model, each, each.fold.validation_start, job.fit.horizon) for each in fitted.series
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
