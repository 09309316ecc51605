"""The losses that a verdict's test compares; their mean determines the score that the study minimises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import pinball_losses, qlike_losses
from kallos.specs.metrics import metric_label

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss, and the score that follows from its mean."""

    name: str
    score: str
    each: Callable[[Forecast, Array], Array]
    of_mean: Callable[[Array], Array]

    def by_origin(self, forecast: Forecast, actual: Array) -> Array:
        """Return the loss at each origin, the mean over steps, targets and quantiles."""
        losses: Array = self.each(forecast, actual).reshape(len(actual), -1).mean(axis=1)
        return losses

    def by_target(self, forecast: Forecast, actual: Array) -> tuple[float, ...]:
        """Return the loss of each target, the mean over origins, steps and quantiles."""
        losses = np.moveaxis(self.each(forecast, actual), 2, 0)
        return tuple(losses.reshape(len(losses), -1).mean(axis=1).tolist())


def loss_of(metric: str, powers: Sequence[int]) -> Loss:
    """Return the loss whose mean determines the metric, or the squared error if there is no such loss.

    `powers` are those of `FeatureSpec.variance_powers`.
    """
    match metric:
        case "mae":
            return Loss("absolute error", metric_label(metric), lambda f, actual: np.abs(f.point - actual), np.positive)
        case "qlike":
            name = metric_label(metric)
            return Loss(name, name, lambda f, actual: qlike_losses(f, actual, powers), np.positive)
        case "pinball" | "crps":
            return Loss("pinball loss", metric_label(metric), pinball_losses, np.positive)
        case _:
            return Loss("squared error", "RMSE", lambda f, actual: np.square(f.mean - actual), np.sqrt)
