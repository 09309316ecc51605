"""How much a column adds out of sample to a forecast of the target from its own past."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLOCKS = 5
# Enough to solve for collinear lags, and negligible compared to a leak.
_RIDGE = 1e-9
# An error below this share of the target's variance is rounding.
_ROUNDING = 1e-18


class Baseline:
    """Regressions of a target on its own past, to which columns are compared."""

    def __init__(self, target: Array, past: Array) -> None:
        """Take the target's values, and for each of them a row with the past that was known at its origin."""
        edges = np.linspace(0, len(target), BLOCKS + 1).astype(int)
        self._blocks = [slice(start, stop) for start, stop in pairwise(edges)]
        self._target = (target - target.mean()) / (target.std() or 1.0)
        self._past = np.hstack([np.ones((len(target), 1)), _standardised(past)])
        self._products = _Products(self._blocks, self._past, self._past)
        self._moments = _Products(self._blocks, self._past, self._target[:, None])
        self._squares = self._squared_errors(self._past, self._products, self._moments)
        self.is_exact = bool(min(self._squares) <= _ROUNDING * len(target))

    def partial_r2(self, column: Array) -> float:
        """Return the share of the squared error that a column's regressors (a row for each target) remove.

        Each block of consecutive rows is forecast by regressions fitted on the others. The result is the median over
        the blocks, so one glitch or one wild year decides nothing. Below zero the column only adds noise.
        """
        column = _standardised(column)
        mixed = _Products(self._blocks, self._past, column)
        own = _Products(self._blocks, column, column)
        products = _Products.block([[self._products, mixed], [mixed.transposed, own]])
        moments = _Products.block([[self._moments], [_Products(self._blocks, column, self._target[:, None])]])
        squares = self._squared_errors(np.hstack([self._past, column]), products, moments)
        return float(np.median([1.0 - more / less for more, less in zip(squares, self._squares, strict=True)]))

    def _squared_errors(self, regressors: Array, products: "_Products", moments: "_Products") -> list[float]:
        """Return the sum of squared errors in each block, of a regression fitted on the others."""
        squares = []
        for number, block in enumerate(self._blocks):
            normal, moment = products.without(number), moments.without(number)
            normal[np.diag_indices_from(normal)] += _RIDGE * len(self._target)
            errors = self._target[block] - regressors[block] @ np.linalg.solve(normal, moment)[:, 0]
            squares.append(float(errors @ errors))
        return squares


class _Products:
    """The products left' right over each block of rows, and over all rows but a block."""

    def __init__(self, blocks: list[slice], left: Array, right: Array) -> None:
        self._parts = [left[block].T @ right[block] for block in blocks]

    @classmethod
    def block(cls, nested: "list[list[_Products]]") -> "_Products":
        """Return the products of block matrices, as `numpy.block` joins them."""
        whole = cls([], np.empty((0, 0)), np.empty((0, 0)))
        n_blocks = len(nested[0][0]._parts)
        whole._parts = [np.block([[each._parts[at] for each in row] for row in nested]) for at in range(n_blocks)]
        return whole

    @property
    def transposed(self) -> "_Products":
        """Right' left."""
        turned = _Products([], np.empty((0, 0)), np.empty((0, 0)))
        turned._parts = [part.T for part in self._parts]
        return turned

    def without(self, number: int) -> Array:
        """Return the product over all blocks but one."""
        rest: Array = np.sum([part for at, part in enumerate(self._parts) if at != number], axis=0)
        return rest


def lagged(values: Array, n_lags: int) -> Array:
    """Return the value of each row and the last `n_lags` changes up to it, in columns; NaN before the first row.

    They span the same space as lags of the value, and are well-conditioned even for levels.
    """
    columns = np.full((len(values), n_lags + 1), np.nan)
    columns[:, 0] = values
    changes = np.diff(values)
    for lag in range(n_lags):
        columns[lag + 1 :, lag + 1] = changes[: len(changes) - lag]
    return columns


def _standardised(regressors: Array) -> Array:
    spread = regressors.std(axis=0)
    # A constant column must not turn into rounding noise.
    standardised: Array = (regressors - regressors.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    return standardised
