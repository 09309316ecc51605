"""Scores of forecasts. All arrays have the shape (origins, steps, targets) and the hold-out's units."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kallos.evaluation.results import ForecastScores
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, columns_of, measured
from kallos.specs.metrics import MAE, MASE, RMSE

Array = npt.NDArray[np.float64]

# Always among the scores of an evaluation, with the study's own metrics.
_ALWAYS = (RMSE, MAE, MASE, "direction", "rank_ic")


def score_forecasts(
    actual: Array, forecast: Forecast, objectives: Sequence[str], metrics: Sequence[str], scoring: Scoring
) -> ForecastScores:
    """Return a forecaster's scores over all origins, steps and targets, by these metrics and those always shown.

    Objectives always have a number; the others are None where the rows leave nothing to find.
    """
    of_objectives = measured(objectives, forecast, actual, scoring).values
    names = dict.fromkeys((*objectives, *_ALWAYS, *metrics))
    columns = columns_of([name for name in names if name not in of_objectives], forecast, actual, scoring)
    scores = {**of_objectives, **columns}
    return ForecastScores(values={name: scores[name] for name in names})
