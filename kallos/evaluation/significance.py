"""Is one forecaster more accurate than another, and by how much: a test and an interval.

Both take one loss an origin, such as the mean squared error over its steps, in the order of the origins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESAMPLES = 2000
# A difference that varies less than this share of itself varies by rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class AccuracyTest:
    """A test of equal accuracy against the model being the more accurate one."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class SkillInterval:
    """The share of the other's score that the model saves, and its interval."""

    skill: float
    low: float
    high: float
    block_length: int


def diebold_mariano(model: Array, other: Array, *, overlap: int = 1) -> AccuracyTest:
    """Return the one-sided test of Diebold & Mariano (1995) that the model's losses are as large as the other's.

    `overlap` is the number of rows from an origin to the last row forecast from it: so many forecasts on end share
    errors, even if both forecasters are perfect. The variance of the mean difference is that of Newey & West (1987),
    `bandwidth` wide, and the statistic has the correction of Harvey, Leybourne & Newbold (1997). As the bandwidth is no
    small share of the origins, Student's t has the degrees of freedom of such a variance, 3/2 of origins by bandwidth
    (Lazarus, Lewis, Stock & Watson 2018); with those of `origins - 1` it would reject too often.
    """
    from scipy.stats import t

    difference = other - model
    n = len(difference)
    if not difference.any():
        return AccuracyTest(0.0, 1.0)
    width = bandwidth(n, overlap)
    # A constant difference would have no variance but that of rounding.
    variance = max(long_run_variance(difference, width), _ROUNDING * float(np.mean(np.square(difference))))
    correction = math.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    statistic = correction * float(difference.mean()) / math.sqrt(variance / n)
    return AccuracyTest(statistic, float(t.sf(statistic, min(n - 1, 1.5 * n / width))))


def bandwidth(n: int, overlap: int) -> int:
    """Return from which lag on autocovariances have no weight: 1.3 times the root of n, twice the overlap or more."""
    return min(max(math.ceil(1.3 * math.sqrt(n)), 2 * overlap) + 1, n)


def long_run_variance(values: Array, width: int) -> float:
    """Return the sum of the autocovariances with Bartlett's weights, 1 - lag/width: never negative."""
    centred, n = values - values.mean(), len(values)
    weights = [1.0, *(2 * (1 - lag / width) for lag in range(1, width))]
    return sum(weight * float(centred[lag:] @ centred[: n - lag]) / n for lag, weight in enumerate(weights))


def skill_interval(
    model: Array,
    other: Array,
    *,
    confidence: float,
    overlap: int = 1,
    of_mean: Callable[[Array], Array] = np.sqrt,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SkillInterval:
    """Return the skill with its percentile interval by the stationary bootstrap of Politis & Romano (1994).

    `of_mean` makes the score of a mean loss: of squared errors the RMSE.
    Blocks of origins are drawn, of both forecasters alike. Their mean length is that of Politis & White (2004) in the
    correction of Patton, Politis & White (2009) for the difference of the losses, no shorter than the overlap.
    """
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    losses, difference = np.column_stack([model, other]), other - model
    optimal = float(optimal_block_length(difference)["stationary"].iloc[0]) if np.ptp(difference) > 0 else math.nan
    # Of what is constant but for rounding there is no length.
    block_length = max(overlap, round(optimal) if math.isfinite(optimal) else 1)
    bootstrap = StationaryBootstrap(block_length, losses, seed=np.random.default_rng(seed))
    skill = partial(_skill, of_mean=of_mean)
    low, high = bootstrap.conf_int(skill, reps=resamples, method="percentile", size=confidence)[:, 0]
    return SkillInterval(float(skill(losses)[0]), float(low), float(high), block_length)


def _skill(losses: Array, of_mean: Callable[[Array], Array]) -> Array:
    model, other = of_mean(losses.mean(axis=0))
    # Against an other without any error, a skill is zero at most.
    return np.array([1 - model / max(other, np.finfo(float).tiny) if model != other else 0.0])
