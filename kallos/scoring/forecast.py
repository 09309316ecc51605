"""Forecasts from each origin of a window: medians, means and quantiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from kallos.errors import require, require_each
from kallos.specs.metrics import MEDIAN, metric_of

Array = npt.NDArray[np.float64]

# The powers of the target whose means are forecast: the mean itself, and the root of the mean square.
POWERS = (1, 2)


@dataclass(frozen=True)
class Forecast:
    """Medians, means and root mean squares of shape (origins, steps, targets), and quantiles with a fourth axis.

    The fourth axis is that of the levels. Medians, means and root mean squares differ only if the target was trained on
    in logarithms; point forecasts alone count as all three.
    """

    point: Array
    mean: Array
    rms: Array
    quantiles: Array
    levels: tuple[float, ...] = (MEDIAN,)

    def __post_init__(self) -> None:
        """Raise `UsageError` for what is no array."""
        require(np.ndarray, point=self.point, mean=self.mean, rms=self.rms, quantiles=self.quantiles)
        require_each(float, levels=self.levels)

    @classmethod
    def of_points(cls, point: Array) -> Self:
        """Return point forecasts."""
        return cls.of_quantiles(point[..., None], (MEDIAN,))

    @classmethod
    def of_quantiles(cls, quantiles: Array, levels: tuple[float, ...], to_median: Array | None = None) -> Self:
        """Return forecasts whose points are the medians.

        `to_median`, of shape (powers, steps, targets), has the ratios of the mean and of the root mean square to the
        median; they are 1 by default.
        """
        point = quantiles[..., levels.index(MEDIAN)]
        if to_median is None:
            return cls(point, point, point, quantiles, levels)
        return cls(point, point * to_median[0], point * to_median[1], quantiles, levels)

    @classmethod
    def mean_of(cls, members: "Iterable[Forecast]", weights: Sequence[float] | None = None) -> Self:
        """Return the mean of the members, also of their quantiles, level by level; weights are equal by default.

        Quantiles are averaged rather than probabilities: Lichtendahl, Grushka-Cockayne and Winkler (2013), "Is it
        better to average probabilities or quantiles?".
        """
        each = list(members)
        # Equal weights have the bits of the plain mean, whatever they are.
        own = None if weights is None or len(set(weights)) == 1 else weights
        parts = zip(*(member.parts for member in each), strict=True)
        point, mean, rms, quantiles = (np.average(arrays, axis=0, weights=own) for arrays in parts)
        return cls(point, mean, rms, quantiles, each[0].levels)

    @classmethod
    def by_target(cls, each: "Sequence[Forecast]") -> Self:
        """Return one forecast of all targets, taking the i-th target from the i-th forecast."""
        parts = zip(*(forecast.of_target(target).parts for target, forecast in enumerate(each)), strict=True)
        point, mean, rms, quantiles = (np.concatenate(arrays, axis=2) for arrays in parts)
        return cls(point, mean, rms, quantiles, each[0].levels)

    @property
    def parts(self) -> tuple[Array, Array, Array, Array]:
        """The medians, means, root mean squares and quantiles."""
        return self.point, self.mean, self.rms, self.quantiles

    @property
    def is_finite(self) -> bool:
        """Whether all medians, means, root mean squares and quantiles are finite."""
        return all(bool(np.isfinite(part).all()) for part in self.parts)

    def scored_by(self, metric: str, powers: Sequence[int]) -> Array:
        """Return what the metric compares with the actual values: means, forecasts of variances, or else medians.

        The forecast of a variance is its mean, and that of a volatility is the root of the mean of its square. `powers`
        are those of `FeatureSpec.variance_powers`.
        """
        match metric_of(metric).scores:
            case "mean":
                return self.mean
            case "variance":
                return np.where(np.asarray(powers) == POWERS[0], self.mean, self.rms)
        return self.point

    def over(self, unit: Array) -> "Forecast":
        """Return the forecasts divided by a unit of shape (targets,)."""
        return Forecast(
            self.point / unit, self.mean / unit, self.rms / unit, self.quantiles / unit[:, None], self.levels
        )

    def of_target(self, target: int) -> "Forecast":
        """Return the forecasts of only the target at this position."""
        one = [target]
        return Forecast(
            self.point[:, :, one], self.mean[:, :, one], self.rms[:, :, one], self.quantiles[:, :, one], self.levels
        )
