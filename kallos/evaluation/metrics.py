"""Scores of forecasts. All arrays are of shape (origins, steps, targets), in the hold-out's units."""

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.metrics import Forecast, errors_of

Array = npt.NDArray[np.float64]


def score_forecasts(
    actual: Array, forecast: Forecast, metric: str, *, reference: Array, history: Array
) -> ForecastScores:
    """Return how one forecaster did over all (origin, step, target).

    `reference` broadcasts to the forecasts: direction and rank are those of what forecast and actual lie above it.
    `history` holds the targets known at the first origin.
    """
    errors = errors_of(metric, forecast, actual)
    return ForecastScores(
        value=errors.value,
        rmse=errors.rmse,
        mae=errors.mae,
        mase=mase(actual, forecast.point, history),
        directional_accuracy=directional_accuracy(actual, forecast.point, reference),
        rank_correlation=rank_correlation(actual, forecast.point, reference),
    )


def mase(actual: Array, forecast: Array, history: Array, *, period: int = 1) -> float | None:
    """Return the mean absolute error, in units of that of the naive forecast in the history.

    The naive forecast repeats the value of `period` rows before. None if the history has no more than a period, or the
    naive forecast makes no error in it. Hyndman & Koehler (2006), "Another look at measures of forecast accuracy".
    """
    if len(history) <= period:
        return None
    scale = float(np.mean(np.abs(history[period:] - history[:-period])))
    return float(np.mean(np.abs(forecast - actual))) / scale if scale > 0 else None


def directional_accuracy(actual: Array, forecast: Array, reference: Array) -> float | None:
    """Return the share of pairs in which actual and forecast lie on the same side of the reference.

    Only pairs in which neither lies on it count. None if all of these actuals lie on one side, or there are none: who
    always says that side is always right then.
    """
    forecast_side, actual_side = np.sign(forecast - reference), np.sign(actual - reference)
    counted = (forecast_side != 0) & (actual_side != 0)
    if len(np.unique(actual_side[counted])) < 2:
        return None
    return float(np.mean(forecast_side[counted] == actual_side[counted]))


def rank_correlation(actual: Array, forecast: Array, reference: Array) -> float | None:
    """Return Spearman's rank correlation of what forecast and actual lie above the reference.

    None if one of them is the same for all pairs.
    """
    from scipy.stats import spearmanr

    above_forecast, above_actual = (forecast - reference).ravel(), (actual - reference).ravel()
    if not (np.ptp(above_forecast) > 0 and np.ptp(above_actual) > 0):
        return None
    return float(spearmanr(above_forecast, above_actual).statistic)
