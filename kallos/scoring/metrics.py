"""The metrics that a study can minimise.

RMSE and MAE are errors of point forecasts, in the target's own units. The pinball loss of a forecast q of quantile p is
max(p (y - q), (p - 1) (y - q)), averaged over the quantiles (Koenker and Bassett, 1978, "Regression quantiles"). The
CRPS is the integral of twice that over all p (Gneiting and Ranjan, 2011, "Comparing density forecasts using threshold-
and quantile-weighted scoring rules"), approximated by twice the mean over the given quantiles.

QLIKE is the mean of x - log(x) - 1, where x is the ratio of the actual variance to its forecast. Its expectation is
least at the true variance, even if the actual values are noisy measurements of it (Patton, 2011, "Volatility forecast
comparison using imperfect volatility proxies"). The ratio of a target that is not a variance is squared. The loss has
no unit, and is infinite if a forecast is not positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.errors import FitError, UsageError
from kallos.scoring.forecast import Forecast
from kallos.specs.metrics import custom_metric, metric_of_one_target

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ForecastErrors:
    """Errors over all origins, steps and targets; `value` and `by_target` are by the study's metric."""

    value: float
    rmse: float
    mae: float
    by_target: tuple[float, ...]
    n_forecasts: int


def errors_of(metric: str, forecast: Forecast, actual: Array, powers: Sequence[int]) -> ForecastErrors:
    """Return the errors of forecasts; arguments and errors raised are those of `measure`."""
    own = metric_of_one_target(metric)
    return ForecastErrors(
        value=measure(metric, forecast, actual, powers),
        rmse=rmse(forecast.mean - actual),
        mae=float(np.abs(forecast.point - actual).mean()),
        by_target=tuple(
            measure(own, forecast.of_target(i), actual[:, :, [i]], powers[i : i + 1]) for i in range(actual.shape[2])
        ),
        n_forecasts=actual.size,
    )


def measure(name: str, forecast: Forecast, actual: Array, powers: Sequence[int]) -> float:
    """Return the error of forecasts; `actual` has the shape (origins, steps, targets).

    `powers`, one per target, are those of `FeatureSpec.variance_powers`. Raises `FitError` if a custom metric raises or
    does not return a number.
    """
    match name:
        case "rmse":
            return rmse(forecast.mean - actual)
        case "mae":
            return float(np.abs(forecast.point - actual).mean())
        case "qlike":
            return float(qlike_losses(forecast, actual, powers).mean())
        case "pinball" | "crps":
            return float(pinball_losses(forecast, actual).mean()) * (2 if name == "crps" else 1)
        case _:
            return _measure_by_own(name, forecast.point, actual)


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def mean(errors: Sequence[float]) -> float:
    """Return the mean over folds or assets; a single error is returned to the bit."""
    return float(np.mean(errors))


def mean_of_each(errors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the means over folds or assets, position by position."""
    return tuple(mean(each) for each in zip(*errors, strict=True))


def pinball_losses(forecast: Forecast, actual: Array) -> Array:
    """Return the pinball loss of each quantile, in the quantiles' shape."""
    levels = np.array(forecast.levels)
    above = actual[..., None] - forecast.quantiles
    losses: Array = np.maximum(levels * above, (levels - 1) * above)
    return losses


def qlike_losses(forecast: Forecast, actual: Array, powers: Sequence[int]) -> Array:
    """Return the loss of each forecast, infinite if it is not positive, in the shape of `actual`."""
    with np.errstate(divide="ignore", over="ignore"):
        excess = (actual / np.maximum(forecast.scored_by("qlike", powers), 0)) ** np.asarray(powers) - 1
    # x - log(x) - 1, in a form that rounding does not make negative.
    losses: Array = np.where(np.isinf(excess), np.inf, excess - np.log1p(np.where(np.isinf(excess), 0, excess)))
    return losses


def _measure_by_own(name: str, point: Array, actual: Array) -> float:
    try:
        return float(custom_metric(name).function(point.copy(), actual.copy()))
    except UsageError:
        raise
    except Exception as error:
        raise FitError(
            f"a metric must return a number for arrays of shape {point.shape}, and {name} raised "
            f"{type(error).__name__}: {error}"
        ) from error
