"""Gradient boosted trees, a model of its own for each step, target and quantile.

Ke et al. (2017), "LightGBM: A highly efficient gradient boosting decision tree".
"""

import math
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from kallos.architectures.estimators.direct import Array, Layout, Regression, Weights

# The same bits on any number of cores, and nothing on the screen. Forecasts from 63 bins are as good as from the usual
# 255, in a third of the time.
_FIXED = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1, "max_bin": 63}


class Trees(Regression):
    """Boosted trees with LightGBM's own parameters.

    They see and forecast the targets less their mean over the last `level_rows` rows, since a tree never forecasts
    beyond what it has seen; 0 leaves the targets as they are.
    """

    def __init__(
        self,
        layout: Layout,
        quantiles: tuple[float, ...] | None,
        *,
        seed: int,
        level_rows: int,
        params: Mapping[str, Any],
    ) -> None:
        super().__init__(layout, quantiles)
        self.level_rows = level_rows
        self.params = {**params, **_FIXED, "seed": seed}

    def learn(self, rows: Array, outputs: Array, weight: Array) -> None:
        """Grow the trees of each output, on one grouping of the columns into bins for each step."""
        params = {name: value for name, value in self.params.items() if name != "n_estimators"}
        rows, levels = self._less_levels(rows)
        outputs = outputs - levels
        self.boosters = []
        columns = None
        for output in range(self.layout.outputs):
            step, target = divmod(output, self.layout.targets)
            if columns is None or (target == 0 and self.layout.known):
                columns = lightgbm.Dataset(
                    self.layout.columns(rows, step), weight=weight, params=params, free_raw_data=False
                )
            columns.set_label(outputs[:, output])
            for objective in self._objectives():
                own = {**params, **objective}
                self.boosters.append(lightgbm.train(own, columns, num_boost_round=self.params["n_estimators"]))

    def forecast(self, rows: Array) -> Array:
        """Return what the trees add up to."""
        n_levels = len(self._objectives())
        rows, levels = self._less_levels(rows)
        columns = None
        forecasts = []
        for place, booster in enumerate(self.boosters):
            step, first = divmod(place, self.layout.targets * n_levels)
            if columns is None or (first == 0 and self.layout.known):
                columns = self.layout.columns(rows, step)
            forecasts.append(booster.predict(columns, num_threads=1))
        by_level = np.stack(forecasts).reshape(self.layout.outputs, n_levels, len(rows)).transpose(1, 2, 0) + levels
        return by_level[0] if self.quantiles is None else by_level

    def _less_levels(self, rows: Array) -> tuple[Array, Array]:
        """Return the rows with the targets' lags less their levels, and the level of each output."""
        if not self.level_rows:
            return rows, np.zeros(self.layout.outputs)
        lags = self.layout.lags_of(rows)
        levels = lags[:, -self.level_rows :].mean(axis=1)
        n_lags = self.layout.lags * self.layout.targets
        moved = np.hstack([(lags - levels[:, None]).reshape(len(rows), -1), rows[:, n_lags:]])
        return moved, np.tile(levels, (1, self.layout.horizon))

    def weights(self) -> Weights:
        """Return the text of each output's trees."""
        texts = (booster.model_to_string(num_iteration=-1).encode() for booster in self.boosters)
        return {f"trees.{place}": np.frombuffer(text, np.uint8) for place, text in enumerate(texts)}

    def restore(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over trees."""
        texts = (weights[f"trees.{place}"].tobytes().decode() for place in range(len(weights)))
        self.boosters = [lightgbm.Booster(model_str=text) for text in texts]

    @property
    def operations(self) -> int:
        """One for each node from root to leaf, as if all trees were balanced."""
        depth = math.ceil(math.log2(self.params["num_leaves"]))
        return int(self.params["n_estimators"]) * depth * self.layout.outputs * len(self._objectives())

    def _objectives(self) -> list[dict[str, Any]]:
        if self.quantiles is None:
            return [{"objective": "regression"}]
        return [{"objective": "quantile", "alpha": level} for level in self.quantiles]
