"""What a study minimises: an error of forecasts, by name, or a function of one's own.

RMSE and MAE are those of point forecasts, in the target's own units. The pinball loss of a forecast q of quantile p is
max(p (y - q), (p - 1) (y - q)), here its mean over the quantiles (Koenker and Bassett, 1978, "Regression quantiles");
the CRPS is the integral of twice that over all p (Gneiting and Ranjan, 2011, "Comparing density forecasts using
threshold- and quantile-weighted scoring rules"), here twice the mean over the quantiles that there are.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from kallos.errors import FitError, UsageError, did_you_mean
from kallos.references import load_reference

Array = npt.NDArray[np.float64]
OwnMetric = Callable[[Array, Array], float]

RMSE = "rmse"
LABELS = {RMSE: "RMSE", "mae": "MAE", "pinball": "pinball loss", "crps": "CRPS"}
# The quantile that is the point forecast.
MEDIAN = 0.5
# These need a likelihood.
OF_QUANTILES = ("pinball", "crps")


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


def check_metric(name: str) -> str:
    """Return the name of a metric that is known, or of a function that can be imported; raises `UsageError`."""
    if ":" in name:
        _own(name)
    elif name not in LABELS:
        raise UsageError(
            f"metric must be one of {', '.join(LABELS)}, or module:NAME of a function of your own, not {name!r}: "
            f"{did_you_mean(name, LABELS)}"
        )
    return name


def metric_label(name: str) -> str:
    """Return a metric's name for people: `RMSE`, or of one's own `module:NAME`."""
    return LABELS.get(name, name)


def metric_source(name: str) -> str | None:
    """Return the hash of the module that a metric of one's own is named by, None for one of Kallos.

    Where the function is another module's, that one's text is in it, too; what these import is not.
    """
    if ":" not in name:
        return None
    function = inspect.unwrap(_own(name))
    files = {inspect.getfile(sys.modules[name.partition(":")[0]]), inspect.getfile(function)}
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in sorted(files))).hexdigest()


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


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def mean(errors: Sequence[float]) -> float:
    """Return the mean, over folds or assets; of one, it is that one to the bit."""
    return float(np.mean(errors))


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


@cache
def _own(name: str) -> OwnMetric:
    found = load_reference(name, "metric", "a function")
    if not inspect.isfunction(found):
        raise UsageError(
            f"metric must name a function (forecasts, actual) -> float, and {name!r} is {type(found).__name__}"
        )
    return cast(OwnMetric, found)


def _measure_by_own(name: str, point: Array, actual: Array) -> float:
    try:
        return float(_own(name)(point.copy(), actual.copy()))
    except UsageError:
        raise
    except Exception as error:
        raise FitError(
            f"a metric must return a number for arrays of shape {point.shape}, and {name} raises "
            f"{type(error).__name__}: {error}"
        ) from error
