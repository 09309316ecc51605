import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from kallos.evaluation.metrics import score_forecasts
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, measured

ACTUAL = np.array([[1.0, -2.0], [3.0, 4.0], [-1.0, 0.5]])[..., None]
FORECAST = np.array([[0.5, 1.0], [2.0, 5.0], [-2.0, -0.5]])[..., None]


def test_errors_are_those_of_scikit_learn_over_all_pairs():
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(size=(2, 30, 4, 1))
    scores = measured(("mae",), ("rmse",), Forecast.of_points(forecast), actual, Scoring((1,)))
    assert scores.values["rmse"] == pytest.approx(root_mean_squared_error(actual.ravel(), forecast.ravel()))
    assert scores.values["mae"] == pytest.approx(mean_absolute_error(actual.ravel(), forecast.ravel()))
    assert scores.by_target == (scores.values["mae"],)


def test_scores_are_taken_together():
    scoring = Scoring((1,), change=np.array([2.0]))
    scores = score_forecasts(ACTUAL, Forecast.of_points(FORECAST), ("mae", "direction"), ("ic",), scoring).values
    # One rank correlation for each step.
    ranks = [
        pd.Series(ACTUAL[:, step, 0]).corr(pd.Series(FORECAST[:, step, 0]), method="spearman") for step in range(2)
    ]
    straight = [np.corrcoef(ACTUAL[:, step, 0], FORECAST[:, step, 0])[0, 1] for step in range(2)]
    assert scores == pytest.approx(
        {
            "mae": 7.5 / 6,
            "direction": 4 / 6,
            "rmse": np.sqrt((0.25 + 9 + 1 + 1 + 1 + 1) / 6),
            "mase": 0.625,
            "rank_ic": np.mean(ranks),
            "ic": np.mean(straight),
        }
    )
    # The study's own come first.
    assert list(scores) == ["mae", "direction", "rmse", "mase", "rank_ic", "ic"]


def test_a_score_that_the_rows_do_not_allow_is_left_empty():
    up = np.abs(ACTUAL)
    scoring = Scoring((1,), change=np.zeros(1))
    scores = score_forecasts(up, Forecast.of_points(FORECAST), ("mae",), (), scoring).values
    assert (scores["direction"], scores["mase"]) == (None, None)
    still = score_forecasts(np.ones_like(up), Forecast.of_points(FORECAST), ("mae",), (), Scoring((1,))).values
    assert still["rank_ic"] is None
    # An objective always has a number.
    assert score_forecasts(up, Forecast.of_points(FORECAST), ("direction",), (), scoring).values[
        "direction"
    ] == pytest.approx(4 / 6)
