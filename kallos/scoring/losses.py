"""The losses that a verdict's test compares; their mean determines the score that the study goes by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, losses_by_origin, losses_by_target, score_of_mean
from kallos.specs.metrics import Metric, metric_of_losses

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of a metric, and the score that follows from its mean."""

    metric: Metric
    scoring: Scoring

    @property
    def name(self) -> str:
        """The name of the loss of a single forecast."""
        return self.metric.loss or ""

    @property
    def score(self) -> str:
        """The name of the score that follows from the mean."""
        return self.metric.label

    def by_origin(self, forecast: Forecast, actual: Array) -> Array:
        """Return the loss at each origin, the mean over steps, targets and quantiles."""
        return losses_by_origin(self.metric.name, forecast, actual, self.scoring)

    def by_target(self, forecast: Forecast, actual: Array) -> tuple[float, ...]:
        """Return the loss of each target, the mean over origins, steps and quantiles."""
        return losses_by_target(self.metric.name, forecast, actual, self.scoring)

    def of_mean(self, mean_loss: Array) -> Array:
        """Return the score that follows from a mean loss."""
        return score_of_mean(self.metric.name, mean_loss)


def loss_of(metric: str, scoring: Scoring) -> Loss:
    """Return the loss whose mean determines the metric, or the squared error if there is no such loss."""
    return Loss(metric_of_losses(metric), scoring)
