"""Naive forecasts, scored on the very (origin, step) pairs that models are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.folds.cut import said_of
from kallos.folds.grid import Fold
from kallos.folds.panel import Panel
from kallos.scoring.metrics import Forecast, mean_of_each, measure, measure_by_target
from kallos.scoring.targets import actual_targets, error_unit, targets_of
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import RMSE
from kallos.specs.study import TuneSpec

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


# Of each naive forecast, one for each asset or target.
Errors = dict[str, tuple[float, ...]]


Scored = TypeVar("Scored")


def better_by_target(folds: Sequence[Errors | None]) -> tuple[str, ...]:
    """Return for each target, of several, the naive forecast of least mean error; none where a fold has no errors."""
    each = [errors for errors in folds if errors is not None]
    if not each or len(each) < len(folds):
        return ()
    means = {name: mean_of_each([errors[name] for errors in each]) for name in each[0]}
    n_targets = len(next(iter(means.values())))
    return tuple(min(means, key=lambda name: means[name][place]) for place in range(n_targets))


def naive_by_asset(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, metric: str, rules: tuple[str, ...] | None
) -> Errors:
    """Return the errors of each naive forecast, one for each asset."""
    each = _of_each_asset(partial(naive_scores, rules=rules), panel, folds, spec, metric)
    return {name: tuple(errors[name] for errors in each) for name in each[0]}


def naive_by_target(panel: Panel, fold: Fold, spec: TuneSpec) -> Errors | None:
    """Return the errors of each naive forecast, one for each target, the mean over the assets; None of one target."""
    if len(spec.features.targets) == 1:
        return None
    each = _of_each_asset(naive_scores_by_target, panel, panel.folds_of(fold), spec, spec.metric)
    return {name: mean_of_each([errors[name] for errors in each]) for name in each[0]}


def _of_each_asset(
    score: Callable[..., dict[str, Scored]], panel: Panel, folds: Sequence[Fold], spec: TuneSpec, metric: str
) -> list[dict[str, Scored]]:
    """Return what the naive forecasts of each asset score; what is said of one names it."""
    each = []
    for asset, fold in zip(spec.data.assets, folds, strict=True):
        with said_of(asset, spec):
            each.append(
                score(
                    panel.frame,
                    fold,
                    spec.features,
                    spec.horizon,
                    spec.forecast,
                    metric=metric,
                    quantiles=None if metric == RMSE else spec.levels,
                    is_alone=len(folds) == 1,
                )
            )
    return each
