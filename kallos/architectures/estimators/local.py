"""Classical models of one series: each target is fitted once, and its model filters the last values of each origin."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kallos.architectures.estimators.direct import Array, Layout, Regression, Weights


class Family(ABC):
    """A kind of statsforecast models, and what their `forward` reads of what they have learnt."""

    @abstractmethod
    def create(self) -> Any:
        """Return an unfitted model."""

    @abstractmethod
    def document(self, learnt: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a fitted model has learnt as plain values."""

    @abstractmethod
    def learnt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `forward` reads; raises `ValueError` or `KeyError` for what no such model can have learnt."""

    def forecast(self, model: Any, window: Array, n_steps: int) -> Array:
        """Return the forecasts of the steps behind a window, without refitting."""
        forecast: Array = model.forward(y=window, h=n_steps)["mean"]
        return forecast

    @property
    @abstractmethod
    def n_numbers(self) -> int:
        """How many numbers a model of this family learns, without those of its beginning."""


class Local(Regression):
    """Forecasts each target from its own last values alone, whatever else Darts passes."""

    supports_sample_weight = False

    def __init__(self, layout: Layout, lead: int, family: Family) -> None:
        super().__init__(layout, None)
        self.lead = lead
        self.family = family

    def learn(self, rows: Array, outputs: Array, weight: Array) -> None:
        """Fit each target's model on the series from which Darts has cut the samples."""
        steps = outputs.reshape(len(rows), self.layout.horizon, self.layout.targets)
        lags = self.layout.lags_of(rows)
        parts = [lags[0], lags[1:, -1]]
        if len(rows) >= self.lead:
            # Behind the last origin: rows that earlier samples forecast first, then those of the last sample.
            parts += [steps[len(rows) - self.lead : -1, 0], steps[-1]]
        series = np.concatenate(parts)
        fitted = (self.family.create().fit(np.ascontiguousarray(values)).model_ for values in series.T)
        self._take([self.family.document(learnt) for learnt in fitted])

    def forecast(self, rows: Array) -> Array:
        """Return what the models forecast behind each window, without refitting."""
        n_steps = self.lead - 1 + self.layout.horizon
        lags = self.layout.lags_of(rows)
        forecasts = np.empty((len(rows), self.layout.horizon, self.layout.targets))
        for target, model in enumerate(self._models):
            for row, window in enumerate(np.ascontiguousarray(lags[:, :, target])):
                forecasts[row, :, target] = self.family.forecast(model, window, n_steps)[self.lead - 1 :]
        return forecasts.reshape(len(rows), -1)

    def weights(self) -> Weights:
        """Return the JSON text of each target's model."""
        texts = (json.dumps(document).encode() for document in self._documents)
        return {f"model.{place}": np.frombuffer(text, np.uint8) for place, text in enumerate(texts)}

    def restore(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over models."""
        self._take([json.loads(weights[f"model.{place}"].tobytes()) for place in range(len(weights))])

    @property
    def operations(self) -> int:
        """One for each number that was learnt, in each row of the window and each step ahead."""
        n_rows = self.layout.lags + self.lead - 1 + self.layout.horizon
        return max(self.family.n_numbers, 1) * n_rows * self.layout.targets

    def _take(self, documents: list[dict[str, Any]]) -> None:
        self._documents = documents
        self._models = []
        for document in documents:
            model = self.family.create()
            model.model_ = self.family.learnt(document)
            self._models.append(model)
