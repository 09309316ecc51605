"""What a model reads: the targets, the columns of the past, and those that are known ahead.

A model that takes future covariates reads the known columns at the rows that it forecasts. Any other reads them beside
the past covariates, moved back by the reach of a forecast: the origin's row holds those of the last forecast row, the
row before it those of the last but one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kallos.folds.scalers import PreparedSeries

if TYPE_CHECKING:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


@dataclass(frozen=True)
class Inputs:
    """The series that a model reads; `past` and `future` are None if it reads no such columns."""

    target: "TimeSeries"
    past: "TimeSeries | None"
    future: "TimeSeries | None"

    def __getitem__(self, rows: slice) -> "Inputs":
        """Return the inputs of some rows; with an open end, the known columns keep their later rows."""
        return Inputs(
            self.target[rows],
            None if self.past is None else self.past[rows],
            None if self.future is None else self.future[rows],
        )


def inputs_of(model: "GlobalForecastingModel", prepared: PreparedSeries) -> Inputs:
    """Return what this model reads of prepared series."""
    return inputs_from(model, prepared.target, prepared.past_covariates, prepared.known)


def inputs_from(
    model: "GlobalForecastingModel", target: "TimeSeries", past: "TimeSeries | None", known: "TimeSeries | None"
) -> Inputs:
    """Return what this model reads of these columns; `known` may go on behind the others."""
    if known is None or model.supports_future_covariates:
        return Inputs(target, past, known)
    from darts import TimeSeries

    ahead = int(model.output_chunk_shift + model.output_chunk_length)
    # The last rows repeat the last known values: no forecast within the series reads them.
    rows = np.minimum(np.arange(target.n_timesteps) + ahead, known.n_timesteps - 1)
    moved = known.values(copy=False)[rows]
    beside = moved if past is None else np.hstack([past.values(copy=False), moved])
    return Inputs(target, TimeSeries.from_values(beside), None)
