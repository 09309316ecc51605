"""Scores of forecasts. All arrays have the shape (origins, steps, targets) and the hold-out's units."""

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, columns_of, measured, score_by
from kallos.specs.metrics import MAE, RMSE

Array = npt.NDArray[np.float64]


def score_forecasts(actual: Array, forecast: Forecast, metric: str, scoring: Scoring) -> ForecastScores:
    """Return a forecaster's scores over all origins, steps and targets."""
    values = measured((metric, RMSE, MAE), forecast, actual, scoring).values
    columns = columns_of(("mase", "direction", "rank_ic"), forecast, actual, scoring)
    return ForecastScores(
        value=score_by(values, metric),
        rmse=score_by(values, RMSE),
        mae=score_by(values, MAE),
        mase=columns["mase"],
        directional_accuracy=columns["direction"],
        rank_correlation=columns["rank_ic"],
    )
