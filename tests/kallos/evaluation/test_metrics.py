import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from kallos.evaluation.metrics import directional_accuracy, mase, rank_correlation, score_forecasts
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import errors_of

ACTUAL = np.array([[1.0, -2.0], [3.0, 4.0], [-1.0, 0.5]])
FORECAST = np.array([[0.5, 1.0], [2.0, 5.0], [-2.0, -0.5]])


def test_errors_are_those_of_scikit_learn_over_all_pairs():
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(size=(2, 30, 4, 1))
    errors = errors_of("mae", Forecast.of_points(forecast), actual, (1,))
    assert errors.rmse == pytest.approx(root_mean_squared_error(actual.ravel(), forecast.ravel()))
    assert errors.mae == errors.value == pytest.approx(mean_absolute_error(actual.ravel(), forecast.ravel()))


@pytest.mark.parametrize("period", [1, 7])
def test_the_scaled_error_is_that_of_darts(period):
    from darts import TimeSeries
    from darts.metrics import mase as darts_mase

    rng = np.random.default_rng(1)
    history, actual, forecast = rng.normal(size=60), rng.normal(size=12), rng.normal(size=12)
    series = TimeSeries.from_values(np.r_[history, actual])
    forecasts = TimeSeries.from_times_and_values(series.time_index[60:], forecast)
    expected = darts_mase(series[60:], forecasts, series[:60], m=period)
    assert mase(actual[:, None], forecast[:, None], history, period=period) == pytest.approx(expected)


def test_a_scaled_error_needs_a_history_in_which_the_baseline_forecast_errs():
    assert mase(ACTUAL, FORECAST, np.array([1.0, 3.0])) == pytest.approx((0.5 + 3 + 1 + 1 + 1 + 1) / 6 / 2)
    assert mase(ACTUAL, FORECAST, np.ones(9)) is None
    assert mase(ACTUAL, FORECAST, np.ones(1)) is None


def test_direction_is_what_lies_above_or_below_the_reference():
    # Signs against zero: four of six agree; against 0.75: (+, -), (+, +), (-, -) to (-, +), (+, +), (-, -).
    assert directional_accuracy(ACTUAL, FORECAST, np.zeros((3, 2))) == pytest.approx(4 / 6)
    assert directional_accuracy(ACTUAL, FORECAST, np.full((3, 1), 0.75)) == pytest.approx(4 / 6)


def test_pairs_without_a_direction_do_not_count():
    actual, forecast = np.array([[0.0], [1.0], [-1.0], [2.0]]), np.array([[1.0], [0.0], [-1.0], [-1.0]])
    assert directional_accuracy(actual, forecast, np.zeros((4, 1))) == 0.5
    assert directional_accuracy(actual, np.zeros((4, 1)), np.zeros((4, 1))) is None


def test_there_is_no_direction_to_find_where_all_actuals_lie_on_one_side():
    # Up or down as 0 or 1 against zero: whoever says 1 is always right.
    up = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]])
    assert directional_accuracy(up, np.full((5, 1), 0.6), np.zeros((5, 1))) is None
    # Of the pairs that count: the only fall is one that nothing is said of.
    actual, forecast = np.array([[1.0], [2.0], [-1.0]]), np.array([[1.0], [-1.0], [0.0]])
    assert directional_accuracy(actual, forecast, np.zeros((3, 1))) is None


def test_rank_correlation_is_the_correlation_of_the_ranks():
    rng = np.random.default_rng(2)
    actual, forecast = rng.normal(size=(2, 20, 3))
    ranks = np.corrcoef(rankdata(actual), rankdata(forecast))[0, 1]
    assert rank_correlation(actual, forecast, np.zeros((20, 1))) == pytest.approx(ranks)


def test_rank_correlation_is_of_the_moves_from_the_reference_and_not_of_the_levels():
    level = np.arange(0.0, 1000.0, 10)[:, None]
    moves = np.random.default_rng(3).permutation(np.linspace(-1, 1, 100))[:, None]
    assert rank_correlation(level + moves, level - moves, level) == pytest.approx(-1)
    assert rank_correlation(level + moves, level, level) is None
    assert rank_correlation(level + moves, level, np.zeros((100, 1))) > 0.99


def test_scores_are_taken_together():
    forecast, actual = Forecast.of_points(FORECAST[..., None]), ACTUAL[..., None]
    scores = score_forecasts(
        actual, forecast, "mae", powers=(1,), reference=np.zeros((3, 2, 1)), history=np.array([[1.0], [3.0]])
    )
    expected = pd.Series(ACTUAL.ravel()).corr(pd.Series(FORECAST.ravel()), method="spearman")
    assert scores.model_dump() == pytest.approx(
        {
            "value": 7.5 / 6,
            "rmse": np.sqrt((0.25 + 9 + 1 + 1 + 1 + 1) / 6),
            "mae": 7.5 / 6,
            "mase": 0.625,
            "directional_accuracy": 4 / 6,
            "rank_correlation": expected,
        }
    )
