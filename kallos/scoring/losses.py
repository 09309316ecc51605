"""What a verdict's test compares: a loss of each forecast, from whose mean comes the score that the study minimises."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.scoring.metrics import Forecast, pinball_losses
from kallos.specs.metrics import metric_label

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss by its name, as an array of all forecasts' losses, and the score that its mean comes to."""

    name: str
    score: str
    each: Callable[[Forecast, Array], Array]
    of_mean: Callable[[Array], Array]

    def by_origin(self, forecast: Forecast, actual: Array) -> Array:
        """Return one loss an origin: the mean over steps, targets and quantiles."""
        losses: Array = self.each(forecast, actual).reshape(len(actual), -1).mean(axis=1)
        return losses

    def by_target(self, forecast: Forecast, actual: Array) -> tuple[float, ...]:
        """Return one loss a target: the mean over origins, steps and quantiles."""
        losses = np.moveaxis(self.each(forecast, actual), 2, 0)
        return tuple(losses.reshape(len(losses), -1).mean(axis=1).tolist())


def loss_of(metric: str) -> Loss:
    """Return the loss whose mean the metric is; of one that is no mean over forecasts, the squared error."""
    match metric:
        case "mae":
            return Loss("absolute error", metric_label(metric), lambda f, actual: np.abs(f.point - actual), np.positive)
        case "pinball" | "crps":
            return Loss("pinball loss", metric_label(metric), pinball_losses, np.positive)
        case _:
            return Loss("squared error", "RMSE", lambda f, actual: np.square(f.point - actual), np.sqrt)
