"""Regressions that forecast all steps of all targets at once, each step with the known columns of its own row."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from darts.utils.multioutput import MultiOutputMixin

Array = npt.NDArray[np.float64]
# What an estimator has learnt, by name: numbers, or texts as bytes.
Weights = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """Where Darts puts what a regression sees: each row has the lags of the targets, oldest first, then those of the
    covariates, then the known columns of each step's row.

    With `windows`, the means of the targets' last values stand in for the lags. `seen` has the places, from 0, of the
    lags of covariates that are read, because Darts passes all covariates of as many rows; None reads all.
    """

    horizon: int
    targets: int
    lags: int
    known: int
    windows: tuple[int, ...] = ()
    seen: tuple[int, ...] | None = None

    @property
    def outputs(self) -> int:
        """The number of forecasts: steps times targets, step by step."""
        return self.horizon * self.targets

    def shared(self, rows: Array) -> Array:
        """Return the columns that all steps see."""
        lags = self.lags_of(rows)
        means = [lags[:, -window:].mean(axis=1) for window in self.windows]
        covariates = rows[:, self.lags * self.targets : rows.shape[1] - self.horizon * self.known]
        seen = covariates if self.seen is None else covariates[:, self.seen]
        return np.hstack([*(means or [lags.reshape(len(rows), -1)]), seen])

    def lags_of(self, rows: Array) -> Array:
        """Return the last values of the targets, of shape (samples, lags, targets)."""
        return rows[:, : self.lags * self.targets].reshape(len(rows), self.lags, self.targets)

    def known_of(self, rows: Array, step: int) -> Array:
        """Return the known columns of a step's row, for a step from 0."""
        start = rows.shape[1] - (self.horizon - step) * self.known
        return rows[:, start : start + self.known]

    def columns(self, rows: Array, step: int) -> Array:
        """Return all columns that a step sees."""
        return np.hstack([self.shared(rows), self.known_of(rows, step)])


class Regression(MultiOutputMixin, ABC):  # type: ignore[misc]
    """An estimator of all outputs: Darts would wrap another one once per output where samples have weights."""

    supports_sample_weight = True

    def __init__(self, layout: Layout, quantiles: tuple[float, ...] | None) -> None:
        self.layout = layout
        self.quantiles = quantiles

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None, **_: Any) -> Self:  # noqa: N803
        """Learn from samples of shape (samples, columns), and outputs of shape (samples, steps x targets).

        Weights have the shape of the outputs; those of the first count. Samples of weight 0 are left out.
        """
        outputs = np.asarray(y, np.float64).reshape(len(X), self.layout.outputs)
        rows = np.asarray(X, np.float64)
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        weight = weight.reshape(len(X), -1)[:, 0]
        kept = weight > 0
        if not kept.all():
            rows, outputs, weight = rows[kept], outputs[kept], weight[kept]
        if not len(rows):
            raise ValueError("a sample must have a weight above 0, and none has")
        self.learn(rows, outputs, weight)
        return self

    def predict(self, X: Array, **_: Any) -> Array:  # noqa: N803
        """Return forecasts of shape (samples, outputs), or (quantiles, samples, outputs), the quantiles in order."""
        forecasts = self.forecast(np.asarray(X, np.float64))
        return forecasts if self.quantiles is None else np.sort(forecasts, axis=0)

    @abstractmethod
    def learn(self, rows: Array, outputs: Array, weight: Array) -> None:
        """Learn from samples whose weights, of shape (samples,), are above 0."""

    @abstractmethod
    def forecast(self, rows: Array) -> Array:
        """Return forecasts in the shape of `predict`, where quantiles may cross."""

    @abstractmethod
    def weights(self) -> Weights:
        """Return all that was learnt."""

    @abstractmethod
    def restore(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Learn what another estimator of this kind has learnt."""

    @property
    @abstractmethod
    def operations(self) -> int:
        """The number of multiply-adds of one forecast."""
