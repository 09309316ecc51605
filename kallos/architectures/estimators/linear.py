"""Linear regression with a penalty, whose quantiles are those of its leave-one-out errors.

Hoerl and Kennard (1970), "Ridge regression: Biased estimation for nonorthogonal problems".
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

from kallos.architectures.estimators.direct import Array, Layout, Regression, Weights

Places = npt.NDArray[np.intp]

# Keeps an error finite where a sample determines its own forecast.
_LEAST = 1e-6


class Linear(Regression):
    """Ridge regression whose intercept is not penalised; `alpha` is in units of the weighted sums of squares."""

    def __init__(self, layout: Layout, quantiles: tuple[float, ...] | None, *, alpha: float) -> None:
        super().__init__(layout, quantiles)
        self.alpha = alpha

    def learn(self, rows: Array, outputs: Array, weight: Array) -> None:
        """Solve the normal equations; the products of columns are computed once for all steps."""
        layout = self.layout
        n_known = layout.horizon * layout.known
        seen = np.hstack([layout.shared(rows), rows[:, rows.shape[1] - n_known :]])
        self._n_shared = seen.shape[1] - n_known
        share = weight / weight.sum()
        column_means, output_means = share @ seen, share @ outputs
        root = np.sqrt(weight)[:, None]
        scaled, wanted = (seen - column_means) * root, (outputs - output_means) * root
        products, right = scaled.T @ scaled, scaled.T @ wanted
        self.coefficients = np.empty((layout.outputs, self._n_shared + layout.known))
        errors = np.empty_like(outputs)
        for columns, own in self._systems():
            factor = cholesky(products[np.ix_(columns, columns)] + self.alpha * np.eye(len(columns)), lower=True)
            solved = cho_solve((factor, True), right[np.ix_(columns, own)])
            self.coefficients[own] = solved.T
            if self.quantiles is not None:
                # The error of a sample that the fit has not seen is its residual over what its leverage leaves.
                half = solve_triangular(factor, scaled[:, columns].T, lower=True)
                leverage = share + np.square(half).sum(axis=0)
                residuals = (wanted[:, own] - scaled[:, columns] @ solved) / root
                errors[:, own] = residuals / np.maximum(1 - leverage, _LEAST)[:, None]
        own_means = np.stack([column_means[self._columns(step)] for step in range(layout.horizon)])
        self.intercepts = output_means - (self.coefficients * np.repeat(own_means, layout.targets, axis=0)).sum(axis=1)
        if self.quantiles is not None:
            self.spread = np.quantile(errors, self.quantiles, axis=0, weights=weight, method="inverted_cdf")

    def forecast(self, rows: Array) -> Array:
        """Return the linear forecasts, with the quantiles of their errors added."""
        layout = self.layout
        by_shared = layout.shared(rows) @ self.coefficients[:, : self._n_shared].T
        by_known = [
            layout.known_of(rows, step) @ self.coefficients[self._own(step), self._n_shared :].T
            for step in range(layout.horizon)
        ]
        point: Array = by_shared + np.hstack(by_known) + self.intercepts
        return point if self.quantiles is None else point + self.spread[:, None]

    def weights(self) -> Weights:
        """Return coefficients, intercepts, and the quantiles of the errors, of shape (quantiles, outputs)."""
        learnt = {"coefficients": self.coefficients, "intercepts": self.intercepts}
        return learnt if self.quantiles is None else {**learnt, "spread": self.spread}

    def restore(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over coefficients."""
        self.coefficients, self.intercepts = weights["coefficients"], weights["intercepts"]
        self._n_shared = self.coefficients.shape[1] - self.layout.known
        if self.quantiles is not None:
            self.spread = weights["spread"]

    @property
    def operations(self) -> int:
        """One for each coefficient."""
        return int(self.coefficients.size)

    def _systems(self) -> Iterator[tuple[Places, Places]]:
        """Yield the columns and outputs of each system of equations: one, unless steps have known columns."""
        if not self.layout.known:
            yield np.arange(self._n_shared), np.arange(self.layout.outputs)
            return
        for step in range(self.layout.horizon):
            yield self._columns(step), self._own(step)

    def _columns(self, step: int) -> Places:
        first = self._n_shared + step * self.layout.known
        return np.concatenate([np.arange(self._n_shared), np.arange(first, first + self.layout.known)])

    def _own(self, step: int) -> Places:
        return np.arange(step * self.layout.targets, (step + 1) * self.layout.targets)
