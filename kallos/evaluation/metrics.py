"""Scores of forecasts. All arrays have the shape (origins, steps, targets) and the hold-out's units."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, measured
from kallos.specs.metrics import MAE, MASE, RMSE

Array = npt.NDArray[np.float64]

# Always among the scores of an evaluation, with the study's own metrics.
_ALWAYS = (RMSE, MAE, MASE, "direction", "rank_ic")


def score_forecasts(
    actual: Array, forecast: Forecast, objectives: Sequence[str], metrics: Sequence[str], scoring: Scoring
) -> ForecastScores:
    """Return a forecaster's scores over all origins, steps and targets, by these metrics and those always shown.

    The first objective always has a number; the others are None where the rows leave nothing to find.
    """
    names = dict.fromkeys((*_ALWAYS, *metrics))
    shown = [name for name in names if name not in objectives]
    # The hold-out is judged by the first objective alone, so that the others may be undefined there.
    return ForecastScores(values=measured(objectives[:1], (*objectives[1:], *shown), forecast, actual, scoring).values)
