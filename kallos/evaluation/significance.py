"""Is one forecaster more accurate than another, and by how much: a test and a confidence interval.

Both take one loss per origin, such as the mean squared error over its steps, in the order of the origins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from kallos.specs.metrics import BUILT_IN, RMSE

Array = npt.NDArray[np.float64]

_RESAMPLES, _SEED = 2000, 0
# Smaller relative variation than this is rounding error.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class AccuracyTest:
    """A one-sided test of equal accuracy, whose alternative is that the model is more accurate."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class SkillInterval:
    """How much better the model's score is than the other's, and the confidence interval of that."""

    skill: float
    low: float
    high: float
    block_length: int


def diebold_mariano(model: Array, other: Array, *, overlap: int = 1) -> AccuracyTest:
    """Return the one-sided test of Diebold & Mariano (1995) that both forecasters' expected losses are equal.

    `overlap` is the number of rows from an origin to the last row forecast from it: the errors of so many consecutive
    forecasts are correlated, even with perfect forecasters. The variance of the mean difference is the estimate of
    Newey & West (1987) with `bandwidth`, and the statistic has the correction of Harvey, Leybourne & Newbold (1997).
    The bandwidth is not small relative to the number of origins, so Student's t has 1.5 * origins / bandwidth degrees
    of freedom (Lazarus, Lewis, Stock & Watson 2018); with origins - 1 the test would reject too often.
    """
    from scipy.stats import t

    difference = other - model
    n = len(difference)
    if not difference.any():
        return AccuracyTest(0.0, 1.0)
    width = bandwidth(n, overlap)
    # The floor keeps the variance of a constant difference positive.
    variance = max(long_run_variance(difference, width), _ROUNDING * float(np.mean(np.square(difference))))
    correction = math.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    statistic = correction * float(difference.mean()) / math.sqrt(variance / n)
    return AccuracyTest(statistic, float(t.sf(statistic, min(n - 1, 1.5 * n / width))))


def bandwidth(n: int, overlap: int) -> int:
    """Return the first lag without weight: above 1.3 times the root of n and twice the overlap, n at most."""
    return min(max(math.ceil(1.3 * math.sqrt(n)), 2 * overlap) + 1, n)


def long_run_variance(values: Array, width: int) -> float:
    """Return the sum of the autocovariances with Bartlett's weights, 1 - lag/width, which is never negative."""
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
    skill: Callable[[float, float], float] = BUILT_IN[RMSE].skill,
) -> SkillInterval:
    """Return the skill with its percentile interval by the stationary bootstrap of Politis & Romano (1994).

    `of_mean` turns a mean loss into the score, such as the mean squared error into the RMSE, and `skill` compares the
    scores (`Metric.skill`). The bootstrap draws the same blocks of origins for both forecasters. Their mean length is
    chosen for the loss difference after Politis & White (2004), corrected by Patton, Politis & White (2009), and is at
    least the overlap.
    """
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    losses, difference = np.column_stack([model, other]), other - model
    optimal = float(optimal_block_length(difference)["stationary"].iloc[0]) if np.ptp(difference) > 0 else math.nan
    # A difference that is constant up to rounding has no optimal length.
    block_length = max(overlap, round(optimal) if math.isfinite(optimal) else 1)
    bootstrap = StationaryBootstrap(block_length, losses, seed=np.random.default_rng(_SEED))
    skill_of = partial(_skill, of_mean=of_mean, skill=skill)
    low, high = bootstrap.conf_int(skill_of, reps=_RESAMPLES, method="percentile", size=confidence)[:, 0]
    return SkillInterval(float(skill_of(losses)[0]), float(low), float(high), block_length)


def _skill(losses: Array, of_mean: Callable[[Array], Array], skill: Callable[[float, float], float]) -> Array:
    return np.array([skill(*of_mean(losses.mean(axis=0)))])
