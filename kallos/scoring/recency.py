"""Recency: a model may learn from the last rows alone, or let a sample count half after so many rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kallos.architectures import Params
from kallos.architectures.recipe import HALF_LIFE, TRAIN_ROWS
from kallos.errors import require_whole
from kallos.folds.study import FEWEST_SAMPLES
from kallos.scoring.inputs import Inputs

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


@dataclass(frozen=True)
class Recency:
    """The rows after which a sample counts half, and the number of last rows that are learnt; 0 for none and all."""

    half_life: int
    train_rows: int

    @classmethod
    def of(cls, params: Params) -> Self:
        """Return the recency among an architecture's parameters, which may have none.

        Raises `UsageError` if one is not a whole number of 0 or more: `create_model` passes both by.
        """
        given = {name: params.get(name, 0) for name in (HALF_LIFE, TRAIN_ROWS)}
        require_whole(0, **given)
        return cls(given[HALF_LIFE], given[TRAIN_ROWS])

    def rows(self, stop: int, model: "GlobalForecastingModel") -> slice:
        """Return the rows up to `stop` that are learnt: the last ones, but enough for the fewest samples."""
        if not self.train_rows:
            return slice(stop)
        per_sample = model.output_chunk_shift + model.output_chunk_length - int(model.extreme_lags[0])
        return slice(max(stop - max(self.train_rows, per_sample + FEWEST_SAMPLES - 1), 0), stop)

    def sample_weights(self, learnt: Sequence[Inputs]) -> dict[str, Any]:
        """Return Darts' argument for the weights: 0.5 to the power of a row's age in half-lives, 1 on average."""
        if not self.half_life:
            return {}
        return {"sample_weight": [self._weights(each) for each in learnt]}

    def _weights(self, inputs: Inputs) -> Any:
        from darts import TimeSeries

        age = np.arange(inputs.target.n_timesteps)[::-1]
        weights = 0.5 ** (age / self.half_life)
        return TimeSeries.from_times_and_values(
            inputs.target.time_index, (weights / weights.mean()).astype(np.float32)[:, None]
        )
