"""Naive forecasts, scored on the very (origin, step) pairs that models are."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.folds import Fold
from kallos.metrics import RMSE, Forecast, measure, measure_by_target
from kallos.scored_rows import actual_targets, error_unit, targets_of
from kallos.specs import FeatureSpec

Array = npt.NDArray[np.float64]

# The naive forecast that is, for each of several targets, the one that is best for it.
EACH_BEST = "each target's best"


def naive_scores(
    frame: pd.DataFrame,
    fold: Fold,
    features: FeatureSpec,
    horizon: int,
    forecast: str = "rolling",
    *,
    metric: str = RMSE,
    quantiles: tuple[float, ...] | None = None,
    is_alone: bool = True,
    rules: tuple[str, ...] | None = None,
) -> dict[str, float]:
    """Return the error of each naive forecast over the very (origin, step) pairs that models are scored on.

    `zero` forecasts nothing but zeros, `last` repeats the last target known at the origin, `mean` that of the fold's
    targets known at the window's first origin. Their quantiles are those of their own errors on the fold's training
    rows, for each step ahead, added to them. The asset `is_alone`, or one of several. With `rules`, a naive forecast
    for each target, of several, there is one that is made of these.
    """
    forecasts, actual = _naive_forecasts(frame, fold, features, horizon, forecast, quantiles, is_alone)
    if rules is not None:
        forecasts[EACH_BEST] = Forecast.by_target([forecasts[rule] for rule in rules])
    return {name: measure(metric, each, actual) for name, each in forecasts.items()}


def naive_scores_by_target(
    frame: pd.DataFrame,
    fold: Fold,
    features: FeatureSpec,
    horizon: int,
    forecast: str = "rolling",
    *,
    metric: str = RMSE,
    quantiles: tuple[float, ...] | None = None,
    is_alone: bool = True,
) -> dict[str, tuple[float, ...]]:
    """Return the errors of each naive forecast on each target alone, of several; else as `naive_scores`."""
    forecasts, actual = _naive_forecasts(frame, fold, features, horizon, forecast, quantiles, is_alone)
    return {name: measure_by_target(metric, each, actual) for name, each in forecasts.items()}


def _naive_forecasts(
    frame: pd.DataFrame,
    fold: Fold,
    features: FeatureSpec,
    horizon: int,
    forecast: str,
    quantiles: tuple[float, ...] | None,
    is_alone: bool,
) -> tuple[dict[str, Forecast], Array]:
    """Return each naive forecast, and what came, in what errors are counted in."""
    steps = fold.validation_stop - fold.validation_start if forecast == "block" else horizon
    actual, unit = actual_targets(frame, fold, features, steps), error_unit(frame, fold, features, is_alone=is_alone)
    targets = targets_of(frame, features)
    # The origin's own row is known, and so are those that are purged from training.
    known_mean = targets[fold.train_start : fold.validation_start - features.lead + 1].mean(axis=0)
    points = _naive_points(targets, fold, features.lead, actual, known_mean)
    past: dict[str, Array] = {}
    if quantiles is not None:
        rows = Fold(0, fold.train_start, fold.train_stop, fold.train_start + features.lead, fold.train_stop)
        came = actual_targets(frame, rows, features, steps)
        past = {
            name: np.moveaxis(np.quantile(came - point, quantiles, axis=0), 0, -1)
            for name, point in _naive_points(targets, rows, features.lead, came, known_mean).items()
        }
    forecasts = {
        name: Forecast(point, point[..., None] + past[name] if past else None, quantiles or ()).over(unit)
        for name, point in points.items()
    }
    return forecasts, actual / unit


def _naive_points(targets: Array, fold: Fold, lead: int, actual: Array, known_mean: Array) -> dict[str, Array]:
    origins = np.arange(fold.validation_start, fold.validation_start + len(actual)) - lead
    return {
        "zero": np.zeros_like(actual),
        "last": np.broadcast_to(targets[origins][:, None], actual.shape),
        "mean": np.broadcast_to(known_mean, actual.shape),
    }
