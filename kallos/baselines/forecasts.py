"""The baselines, simple forecasts and a ridge regression, with quantiles."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kallos.baselines.ridge import ridge
from kallos.baselines.simple import drift, last, mean, seasonal, zero
from kallos.baselines.window import Origins, Window
from kallos.scoring.metrics import Forecast

Array = npt.NDArray[np.float64]
Baseline = Callable[[Window, Origins], Array | None]

RIDGE = "ridge"
SIMPLE: Mapping[str, Baseline] = {"zero": zero, "last": last, "drift": drift, "mean": mean, "seasonal": seasonal}
BASELINES: Mapping[str, Baseline] = {**SIMPLE, RIDGE: ridge}
# The forecast that combines the best baseline of each target.
EACH_BEST = "each target's best"


def baseline_forecasts(window: Window, names: Iterable[str] = BASELINES) -> dict[str, Forecast]:
    """Return the forecasts of each baseline that the window allows, in its units, from all of its origins.

    Quantile forecasts add the quantiles of a baseline's past errors at each step, on the rows known at the first
    origin.
    """
    levels = window.spec.levels
    past = window.past_origins if len(levels) > 1 else np.arange(0)
    origins = np.concatenate([past, window.origins])
    actual = window.values[past[:, None] + window.lead + np.arange(window.horizon)]
    forecasts = {}
    for name in names:
        point = BASELINES[name](window, origins)
        if point is not None:
            before, now = point[: len(past)], point[len(past) :]
            forecasts[name] = _with_quantiles(now, actual - before, levels) if len(past) else Forecast.of_points(now)
    return forecasts


def best_by_target(errors: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Return the baseline with the lowest error for each target."""
    n_targets = len(next(iter(errors.values())))
    return tuple(min(errors, key=lambda name: errors[name][i]) for i in range(n_targets))


def with_each_best(forecasts: Mapping[str, Forecast], rules: Sequence[str]) -> dict[str, Forecast]:
    """Return these forecasts and, unless all targets have the same rule, one that combines each target's."""
    if len(set(rules)) < 2:
        return dict(forecasts)
    return {**forecasts, EACH_BEST: Forecast.by_target([forecasts[rule] for rule in rules])}


def _with_quantiles(point: Array, past_errors: Array, levels: tuple[float, ...]) -> Forecast:
    """Return forecasts with the quantiles of past errors, ignoring origins with too few earlier rows."""
    has_all = np.isfinite(past_errors).all(axis=(1, 2))
    spread = np.moveaxis(np.quantile(past_errors[has_all], levels, axis=0), 0, -1)
    return Forecast(point, point, point[..., None] + spread, levels)
