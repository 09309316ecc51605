"""The baselines' forecasts, with means and quantiles."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kallos.baselines.garch import garch
from kallos.baselines.har import har
from kallos.baselines.ridge import ridge
from kallos.baselines.simple import column, drift, ewma, last, mean, seasonal, zero
from kallos.baselines.window import Origins, Window
from kallos.scoring.forecast import POWERS, Forecast
from kallos.specs.baselines import GARCH, HAR, RIDGE, kind_and_column

Array = npt.NDArray[np.float64]
Baseline = Callable[[Window, Origins], Array | None]
Value = TypeVar("Value")

_WITHOUT_FIT: Mapping[str, Baseline] = {
    "zero": zero,
    "last": last,
    "mean": mean,
    "drift": drift,
    "seasonal": seasonal,
    "ewma": ewma,
}
_REGRESSIONS: Mapping[str, Baseline] = {HAR: har, RIDGE: ridge}
# Fitted on the target's logarithm if models train on it.
_FITTED = (*_REGRESSIONS, GARCH)
# The forecast that combines the best baseline of each target.
EACH_BEST = "each target's best"


def baseline_forecasts(window: Window, names: Iterable[str] | None = None) -> dict[str, Forecast]:
    """Return the forecasts of each baseline that the window allows, in its units, from all of its origins.

    By default all that its study scores. Quantile forecasts add the quantiles of a baseline's past errors at each step,
    on the rows known at the first origin. If models train on the logarithm of the target, so do the regressions and
    GARCH: their median is the exponential of the forecast, and their mean is that times the mean exponential of the
    past errors, and their root mean square that times the root of its mean square (Duan, 1983, "Smearing estimate: a
    nonparametric retransformation method"). Raises `UsageError` for a column that the study lacks, and `DataError` if a
    baseline cannot forecast such targets.
    """
    forecasts = {name: _forecast(name, window) for name in (window.spec.scored_baselines if names is None else names)}
    return {name: each for name, each in forecasts.items() if each is not None}


def counting(values: Mapping[str, Value], named: Sequence[str]) -> dict[str, Value]:
    """Return the entries of the baselines that a model has to beat: those that the study names."""
    return {name: value for name, value in values.items() if name in named or name == EACH_BEST}


def best_by_target(scores: Mapping[str, Sequence[float]], as_loss: Callable[[float], float] = float) -> tuple[str, ...]:
    """Return the best baseline for each target; `as_loss` makes lower scores the better ones (`Metric.as_loss`)."""
    n_targets = len(next(iter(scores.values())))
    return tuple(min(scores, key=lambda name: as_loss(scores[name][i])) for i in range(n_targets))


def with_each_best(forecasts: Mapping[str, Forecast], rules: Sequence[str]) -> dict[str, Forecast]:
    """Return these forecasts and, unless all targets have the same rule, one that combines each target's."""
    if len(set(rules)) < 2:
        return dict(forecasts)
    return {**forecasts, EACH_BEST: Forecast.by_target([forecasts[rule] for rule in rules])}


def _baseline(name: str, *, in_logarithms: bool) -> Baseline:
    kind, column_name = kind_and_column(name)
    if column_name is not None:
        of_column = partial(garch, in_logarithms=in_logarithms) if kind == GARCH else column
        return partial(of_column, name=column_name)
    return {**_WITHOUT_FIT, **_REGRESSIONS}[kind]


def _forecast(name: str, window: Window) -> Forecast | None:
    levels = window.spec.levels
    kind, _ = kind_and_column(name)
    in_logarithms = kind in _FITTED and window.spec.features.target_transform == "log"
    rows = window.in_logarithms() if in_logarithms else window
    past = rows.past_origins if len(levels) > 1 or in_logarithms else np.arange(0)
    forecast = _baseline(name, in_logarithms=in_logarithms)(rows, np.concatenate([past, rows.origins]))
    if forecast is None:
        return None
    before, point = forecast[: len(past)], forecast[len(past) :]
    errors = rows.following(past) - before
    # Origins with too few earlier rows have no forecast.
    errors = errors[np.isfinite(errors).all(axis=(1, 2))]
    spread = np.moveaxis(np.quantile(errors, levels, axis=0), 0, -1) if len(levels) > 1 else np.zeros(1)
    quantiles = point[..., None] + spread
    if not in_logarithms:
        return Forecast(point, point, point, quantiles, levels)
    median = np.exp(point)
    mean, rms = (median * np.exp(power * errors).mean(axis=0) ** (1 / power) for power in POWERS)
    return Forecast(median, mean, rms, np.exp(quantiles), levels).over(window.unit)
