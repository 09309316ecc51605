"""What a study minimises: an error of forecasts, by name, or a function of one's own.

RMSE and MAE are those of point forecasts, in the target's own units. The pinball loss of a forecast q of quantile p is
max(p (y - q), (p - 1) (y - q)), here its mean over the quantiles (Koenker and Bassett, 1978, "Regression quantiles");
the CRPS is the integral of twice that over all p (Gneiting and Ranjan, 2011, "Comparing density forecasts using
threshold- and quantile-weighted scoring rules"), here twice the mean over the quantiles that there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from kallos.errors import FitError, UsageError
from kallos.specs.metrics import MEDIAN, custom_metric, metric_of_one_target

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Point forecasts of shape (origins, steps), or (origins, steps, targets) of several.

    `quantiles` are those of the `levels`, along one more axis, the last.
    """

    point: Array
    quantiles: Array | None = None
    levels: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Array, levels: tuple[float, ...] | None) -> Self:
        """Return forecasts as an array has them: points, or with the levels' quantiles along the last axis."""
        return cls(values) if levels is None else cls(values[..., levels.index(MEDIAN)], values, levels)

    def over(self, unit: Array) -> "Forecast":
        """Return the same forecasts in units of such a size, one for all, or of shape (targets,)."""
        quantiles = None if self.quantiles is None else self.quantiles / np.expand_dims(unit, -1)
        return Forecast(self.point / unit, quantiles, self.levels)

    def of_targets(self) -> "list[Forecast]":
        """Return the forecasts of each target, of several."""
        quantiles = self.quantiles
        return [
            Forecast(self.point[:, :, place], None if quantiles is None else quantiles[:, :, place], self.levels)
            for place in range(self.point.shape[2])
        ]

    @classmethod
    def by_target(cls, each: "Sequence[Forecast]") -> Self:
        """Return one forecast of several targets, the first one's taken from the first of these, and so on."""
        points = [forecast.point[:, :, place] for place, forecast in enumerate(each)]
        quantiles = [
            forecast.quantiles[:, :, place] for place, forecast in enumerate(each) if forecast.quantiles is not None
        ]
        return cls(np.stack(points, axis=2), np.stack(quantiles, axis=2) if quantiles else None, each[0].levels)


def measure(name: str, forecast: Forecast, actual: Array) -> float:
    """Return the error of forecasts; less is better.

    `actual` has the shape of the point forecasts. Raises `FitError` if a metric of one's own raises, or returns what is
    no number.
    """
    match name:
        case "rmse":
            return rmse(forecast.point - actual)
        case "mae":
            return float(np.abs(forecast.point - actual).mean())
        case "pinball":
            return pinball(forecast, actual)
        case "crps":
            return 2 * pinball(forecast, actual)
        case _:
            return _measure_by_own(name, forecast.point, actual)


def measure_by_target(name: str, forecast: Forecast, actual: Array) -> tuple[float, ...]:
    """Return the error of each target's forecasts alone, of several, by `metric_of_one_target`."""
    own = metric_of_one_target(name)
    return tuple(measure(own, each, actual[:, :, place]) for place, each in enumerate(forecast.of_targets()))


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def mean(errors: Sequence[float]) -> float:
    """Return the mean, over folds or assets; of one, it is that one to the bit."""
    return float(np.mean(errors))


def mean_of_each(errors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the means, over folds or assets, of errors that lie side by side."""
    return tuple(mean(each) for each in zip(*errors, strict=True))


def pinball(forecast: Forecast, actual: Array) -> float:
    """Return the pinball loss, its mean over all forecasts and quantiles."""
    return float(pinball_losses(forecast, actual).mean())


def pinball_losses(forecast: Forecast, actual: Array) -> Array:
    """Return the pinball loss of each quantile, of the quantiles' shape."""
    assert forecast.quantiles is not None
    levels = np.array(forecast.levels)
    above = actual[..., None] - forecast.quantiles
    losses: Array = np.maximum(levels * above, (levels - 1) * above)
    return losses


def _measure_by_own(name: str, point: Array, actual: Array) -> float:
    try:
        return float(custom_metric(name).function(point.copy(), actual.copy()))
    except UsageError:
        raise
    except Exception as error:
        raise FitError(
            f"a metric must return a number for arrays of shape {point.shape}, and {name} raises "
            f"{type(error).__name__}: {error}"
        ) from error
