"""Scores of forecasts. All arrays have the shape (origins, steps, targets) and the hold-out's units."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import errors_of

Array = npt.NDArray[np.float64]


def score_forecasts(
    actual: Array, forecast: Forecast, metric: str, *, powers: Sequence[int], reference: Array, history: Array
) -> ForecastScores:
    """Return a forecaster's scores over all origins, steps and targets.

    `powers` are those of `FeatureSpec.variance_powers`. Direction and rank correlation are measured relative to
    `reference`, which broadcasts to the forecasts. `history` holds the targets known at the first origin.
    """
    errors = errors_of(metric, forecast, actual, powers)
    return ForecastScores(
        value=errors.value,
        rmse=errors.rmse,
        mae=errors.mae,
        mase=mase(actual, forecast.point, history),
        directional_accuracy=directional_accuracy(actual, forecast.point, reference),
        rank_correlation=rank_correlation(actual, forecast.point, reference),
    )


def mase(actual: Array, forecast: Array, history: Array, *, period: int = 1) -> float | None:
    """Return the mean absolute error divided by that of the naive forecast in the history.

    The naive forecast repeats the value from `period` rows earlier. None if the history is not longer than a period, or
    the naive forecast makes no error in it. Hyndman & Koehler (2006), "Another look at measures of forecast accuracy".
    """
    if len(history) <= period:
        return None
    scale = float(np.mean(np.abs(history[period:] - history[:-period])))
    return float(np.mean(np.abs(forecast - actual))) / scale if scale > 0 else None


def directional_accuracy(actual: Array, forecast: Array, reference: Array) -> float | None:
    """Return the share of pairs in which actual and forecast lie on the same side of the reference.

    Pairs with a value exactly on the reference do not count. None if no pair counts, or all actuals lie on one side: a
    constant forecast would then always be right.
    """
    forecast_side, actual_side = np.sign(forecast - reference), np.sign(actual - reference)
    counted = (forecast_side != 0) & (actual_side != 0)
    if len(np.unique(actual_side[counted])) < 2:
        return None
    return float(np.mean(forecast_side[counted] == actual_side[counted]))


def rank_correlation(actual: Array, forecast: Array, reference: Array) -> float | None:
    """Return Spearman's rank correlation of forecast and actual, both less the reference; None if one is constant."""
    from scipy.stats import spearmanr

    above_forecast, above_actual = (forecast - reference).ravel(), (actual - reference).ravel()
    if not (np.ptp(above_forecast) > 0 and np.ptp(above_actual) > 0):
        return None
    return float(spearmanr(above_forecast, above_actual).statistic)
