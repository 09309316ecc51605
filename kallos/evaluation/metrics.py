"""Scores of forecasts. All arrays have the shape (origins, steps, targets) and the hold-out's units."""

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.metrics import Forecast, Scoring, columns_of, errors_of

Array = npt.NDArray[np.float64]


def score_forecasts(actual: Array, forecast: Forecast, metric: str, scoring: Scoring) -> ForecastScores:
    """Return a forecaster's scores over all origins, steps and targets."""
    errors = errors_of(metric, forecast, actual, scoring)
    columns = columns_of(("mase", "direction", "rank_ic"), forecast, actual, scoring)
    return ForecastScores(
        value=errors.value,
        rmse=errors.rmse,
        mae=errors.mae,
        mase=columns["mase"],
        directional_accuracy=columns["direction"],
        rank_correlation=columns["rank_ic"],
    )
