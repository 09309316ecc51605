"""Forecasts from each origin of a window: medians, means and quantiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from kallos.specs.metrics import MEDIAN, metric_of

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Medians and means of shape (origins, steps, targets), and quantiles with the levels as a fourth axis.

    Medians and means differ only if the target was trained on in logarithms. Point forecasts alone count as both.
    """

    point: Array
    mean: Array
    quantiles: Array
    levels: tuple[float, ...] = (MEDIAN,)

    @classmethod
    def of_points(cls, point: Array) -> Self:
        """Return point forecasts."""
        return cls(point, point, point[..., None])

    @classmethod
    def of_quantiles(cls, quantiles: Array, levels: tuple[float, ...], mean_to_median: Array | float = 1.0) -> Self:
        """Return forecasts whose points are the medians; `mean_to_median` is a ratio for each step and target."""
        point = quantiles[..., levels.index(MEDIAN)]
        return cls(point, point * mean_to_median, quantiles, levels)

    @classmethod
    def mean_of(cls, members: "Iterable[Forecast]") -> Self:
        """Return the mean of the members, also of their quantiles, level by level."""
        each = list(members)
        point, mean, quantiles = (
            np.mean(arrays, axis=0)
            for arrays in zip(*((member.point, member.mean, member.quantiles) for member in each), strict=True)
        )
        return cls(point, mean, quantiles, each[0].levels)

    @classmethod
    def by_target(cls, each: "Sequence[Forecast]") -> Self:
        """Return one forecast of all targets, taking the i-th target from the i-th forecast."""
        return cls(
            np.stack([forecast.point[:, :, target] for target, forecast in enumerate(each)], axis=2),
            np.stack([forecast.mean[:, :, target] for target, forecast in enumerate(each)], axis=2),
            np.stack([forecast.quantiles[:, :, target] for target, forecast in enumerate(each)], axis=2),
            each[0].levels,
        )

    @property
    def rms(self) -> Array:
        """The root mean squares, which are the means wherever the metric is not QLIKE."""
        return self.mean

    @property
    def is_finite(self) -> bool:
        """Whether all medians, means and quantiles are finite."""
        return all(bool(np.isfinite(values).all()) for values in (self.point, self.mean, self.quantiles))

    def scored_by(self, metric: str) -> Array:
        """Return what the metric compares with the actual values: means or medians."""
        return self.mean if metric_of(metric).scores in ("mean", "variance") else self.point

    def over(self, unit: Array) -> "Forecast":
        """Return the forecasts divided by a unit of shape (targets,)."""
        return Forecast(self.point / unit, self.mean / unit, self.quantiles / unit[:, None], self.levels)

    def of_target(self, target: int) -> "Forecast":
        """Return the forecasts of only the target at this position."""
        return Forecast(
            self.point[:, :, [target]], self.mean[:, :, [target]], self.quantiles[:, :, [target]], self.levels
        )
