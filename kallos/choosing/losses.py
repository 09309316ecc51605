"""The losses of forecasters on the origins of all folds, and what of them is resampled.

A study's value is the mean over its folds of a score. Tests of means need losses whose mean is that value, also where
the score is no mean, such as the RMSE: `as_values` replaces each loss by its linear share in the fold's score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Each resample copies all rows, so losses of more origins are averaged in groups of consecutive ones.
MOST_ROWS = 2000
# Fewer origins in all folds together tell nothing.
FEWEST_ORIGINS = 20
# Losses that differ by a smaller share than this are equal.
ALIKE = 1e-9
# With fewer blocks tests reject far too often, whatever their variance is corrected for.
FEWEST_BLOCKS = 8
_FAR_OUT = 0.99


@dataclass(frozen=True)
class FoldLosses:
    """Losses of shape (forecasters, origins) for each fold, lower is better, in the order of the origins.

    The mean over a fold's origins is the fold's score, as `as_values` makes it; that of a metric that is maximised is
    negated. `overlap` is the number of rows from an origin to the last row that is forecast from it.
    """

    folds: tuple[Array, ...]
    overlap: int = 1

    @property
    def values(self) -> Array:
        """The value of each forecaster: the mean over the folds of its scores."""
        values: Array = np.mean([fold.mean(axis=1) for fold in self.folds], axis=0)
        return values

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of origins of each fold."""
        return tuple(fold.shape[1] for fold in self.folds)

    @property
    def can_be_resampled(self) -> bool:
        """Whether there are 20 origins and 8 of the shortest blocks in all, and on each fold twice the overlap."""
        enough = sum(self.lengths) >= FEWEST_ORIGINS and self.blocks >= FEWEST_BLOCKS
        return enough and min(self.lengths) >= 2 * self.overlap

    @property
    def blocks(self) -> float:
        """The number of the shortest blocks, of twice the overlap less one."""
        return sum(self.lengths) / (2 * self.overlap - 1)

    def of(self, forecasters: Sequence[int]) -> "FoldLosses":
        """Return the losses of the forecasters at these positions, in this order."""
        return FoldLosses(tuple(fold[list(forecasters)] for fold in self.folds), self.overlap)


@dataclass(frozen=True)
class Sample:
    """What is resampled: rows of shape (rows, forecasters), whose mean is the value of each forecaster.

    `lengths` has the number of rows of each fold, and `block_length` is the mean number of rows of a block.
    """

    rows: Array
    lengths: tuple[int, ...]
    block_length: int


def as_values(losses: Array, of_mean: Literal["itself", "root"] = "itself") -> Array:
    """Return losses of shape (forecasters, origins) whose mean is the score, the root of the mean loss for `root`.

    A root r of a mean m is linear in the losses near m (the delta method): each loss l becomes r + (l - m) / 2r.
    """
    if of_mean == "itself":
        return losses
    mean = losses.mean(axis=1, keepdims=True)
    root = np.sqrt(mean)
    values: Array = root + (losses - mean) / np.where(root > 0, 2 * root, 1)
    return values


def over_assets(losses: Sequence[Array], origins: Sequence[npt.NDArray[Any]]) -> Array:
    """Return the losses of a panel on one fold, whose mean is the mean over the assets of each asset's mean.

    `losses` has an array of shape (forecasters, origins) for each asset, and `origins` its timestamps in order. Losses
    of one timestamp are drawn together; assets need not have the same timestamps.
    """
    every = np.unique(np.concatenate(list(origins)))
    total: Array = np.zeros((len(losses[0]), len(every)))
    for own, timestamps in zip(losses, origins, strict=True):
        total[:, np.searchsorted(every, timestamps)] += own * (len(every) / own.shape[1] / len(losses))
    return total


def sample_of(losses: FoldLosses) -> Sample:
    """Return what is resampled of these losses, in blocks of `block_length`.

    Every fold counts alike, as in a study's value, whatever its number of origins. Deviations from each fold's mean are
    enlarged, because the bootstrap of a few blocks varies too little: by its `shrinkage`, and by the ratio of the 99 %
    quantiles of Student's t, with as many degrees of freedom as there are blocks, and of the normal distribution. A
    variance that is estimated from so many blocks is as uncertain (Lazarus, Lewis, Stock & Watson 2018), and the best
    or worst of many trials lies far out.
    """
    from scipy.stats import norm, t

    group = math.ceil(sum(losses.lengths) / MOST_ROWS)
    folds = [_grouped(fold, group) for fold in losses.folds]
    lengths = tuple(fold.shape[1] for fold in folds)
    length, n_rows = block_length(lengths, math.ceil(losses.overlap / group)), sum(lengths)
    uncertainty = t.ppf(_FAR_OUT, n_rows / length) / norm.ppf(_FAR_OUT)
    parts = []
    for fold, n in zip(folds, lengths, strict=True):
        mean = fold.mean(axis=1, keepdims=True)
        enlarged = (fold - mean) * uncertainty / math.sqrt(shrinkage(n, length))
        # The mean over all rows then weighs the folds alike.
        parts.append((mean + enlarged) * (n_rows / n / len(folds)))
    return Sample(np.ascontiguousarray(np.concatenate(parts, axis=1).T), lengths, length)


def block_length(lengths: Sequence[int], overlap: int) -> int:
    """Return the mean length of blocks: twice the overlap less one, or 1.3 times the root of all rows if that is more.

    The second is half of the shortest fold at most, and an eighth of all rows. Differences of losses remember more than
    the overlap of forecasts tells, and short blocks reject too often; `kallos.evaluation.significance.bandwidth` has
    the same rule.
    """
    total = sum(lengths)
    long = min(math.ceil(1.3 * math.sqrt(total)), min(lengths) // 2, total // FEWEST_BLOCKS)
    return max(2 * overlap - 1, long, 1)


def shrinkage(n: int, block_length: int) -> float:
    """Return the expected variance of the resampled mean of n independent rows, as a share of the true one.

    Politis & Romano (1994), lemma 1: it is the sum of the sample's autocovariances with the weights
    (1 - i/n) k^i + (i/n) k^(n-i), k = 1 - 1 / block_length. The mean of the sample itself is subtracted, so they are
    expected to be 1 - 1/n, and -(n - i) / n² at lag i.
    """
    lag, keep = np.arange(1, n), 1 - 1 / block_length
    weights = (1 - lag / n) * keep**lag + lag / n * keep ** (n - lag)
    return float(1 - 1 / n - 2 * (weights * (n - lag)).sum() / n**2)


def first_equal(rows: Array) -> list[int]:
    """Return for each column the position of the first column that is equal to it but for a billionth."""
    first: list[int] = []
    for position, column in enumerate(rows.T):
        close = ALIKE * float(np.abs(column).max())
        own = [other for other in range(position) if first[other] == other]
        first.append(next((other for other in own if float(np.abs(rows[:, other] - column).max()) <= close), position))
    return first


def _grouped(fold: Array, group: int) -> Array:
    """Return the means of groups of consecutive origins, weighted so that their mean stays the same."""
    n = fold.shape[1]
    groups = math.ceil(n / group)
    grouped: Array = np.add.reduceat(fold, np.arange(groups) * n // groups, axis=1) * (groups / n)
    return grouped
