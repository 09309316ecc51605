import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score

from kallos.scoring.metrics import Forecast, Scoring, columns_of, measure

TWO = Scoring((2, 2))

moves = arrays(np.float64, (6, 2, 2), elements=st.integers(-5, 5).map(float))


def score(name, forecast, actual, scoring=TWO):
    return measure(name, Forecast.of_points(forecast), actual, scoring)


def cells(values):
    """Return the values of each step and target over the origins."""
    return values.reshape(len(values), -1).T


@pytest.mark.parametrize(("name", "of_scipy"), [("ic", pearsonr), ("rank_ic", spearmanr)])
def test_the_information_coefficient_is_the_mean_correlation_of_the_steps_and_targets(name, of_scipy):
    rng = np.random.default_rng(2)
    actual = rng.normal(size=(40, 3, 2))
    # Rounded, so that there are ties.
    forecast = (actual + rng.normal(size=actual.shape)).round(1)
    each = [of_scipy(one, other).statistic for one, other in zip(cells(forecast), cells(actual), strict=True)]
    assert score(name, forecast, actual) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("name", ["ic", "rank_ic"])
@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_a_constant_forecast_orders_nothing(name, noise):
    rng = np.random.default_rng(3)
    actual = rng.normal(size=(40, 1, 2))
    flat = 0.01 * (1 + noise * rng.integers(-1, 2, actual.shape))
    assert score(name, flat, actual) == 0
    # One of two targets.
    assert score(name, np.where([True, False], actual, flat), actual) == pytest.approx(0.5)
    assert score(name, actual, flat) == 0


@pytest.mark.parametrize("name", ["ic", "rank_ic"])
def test_the_correlation_of_levels_is_that_of_their_moves(name):
    level = np.arange(0.0, 1000.0, 10).reshape(-1, 1, 1)
    move = np.random.default_rng(3).permutation(np.linspace(-1, 1, 100)).reshape(-1, 1, 1)
    assert score(name, level - move, level + move, Scoring((2,), reference=level)) == pytest.approx(-1)
    assert score(name, level - move, level + move, Scoring((2,))) > 0.99


@given(moves, moves)
def test_a_turned_forecast_has_the_opposite_correlation(forecast, actual):
    for name in ("ic", "rank_ic"):
        assert score(name, -forecast, actual) == pytest.approx(-score(name, forecast, actual), abs=1e-9)
        assert -1 <= score(name, forecast, actual) <= 1


@given(moves, moves, st.floats(0.01, 100), st.floats(-100, 100))
def test_correlations_know_no_scale_and_no_level(forecast, actual, factor, level):
    for name in ("ic", "rank_ic"):
        moved = score(name, factor * forecast + level, actual)
        assert moved == pytest.approx(score(name, forecast, actual), abs=1e-6)
        assert moved == pytest.approx(score(name, actual, factor * forecast + level), abs=1e-6)


@given(moves, moves)
def test_the_rank_correlation_knows_the_order_alone(forecast, actual):
    assert score("rank_ic", np.exp(forecast), actual) == pytest.approx(score("rank_ic", forecast, actual), abs=1e-9)


def test_the_f1_of_rises_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    actual = rng.normal(size=(40, 3, 2))
    forecast = actual + rng.normal(size=actual.shape)
    each = [f1_score(came > 0, said > 0) for said, came in zip(cells(forecast), cells(actual), strict=True)]
    assert score("f1_up", forecast, actual) == pytest.approx(np.mean(each))


def test_where_nothing_rose_and_no_rise_was_forecast_there_is_no_f1():
    falls, rises = -np.ones((5, 1, 2)), np.ones((5, 1, 2))
    assert math.isnan(score("f1_up", falls, falls))
    assert score("f1_up", falls, rises) == score("f1_up", rises, falls) == 0
    # The other target counts.
    assert score("f1_up", np.where([True, False], rises, falls), np.where([True, False], rises, falls)) == 1


def test_a_column_is_empty_where_the_actual_values_leave_nothing_to_find():
    names = ("direction", "f1_up", "ic", "rank_ic", "mase", "mae")
    forecast = Forecast.of_points(np.random.default_rng(5).normal(size=(9, 1, 1)))
    # Up or not, as 0 and 1: whoever says 1 is always right.
    up = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1.0]).reshape(-1, 1, 1)
    columns = columns_of(names, forecast, up, Scoring((2,)))
    assert tuple(columns) == names
    assert [name for name, value in columns.items() if value is None] == ["direction", "f1_up", "mase"]
    still = columns_of(names, forecast, np.zeros((9, 1, 1)), Scoring((2,), change=np.ones(1)))
    assert [name for name, value in still.items() if value is None] == ["direction", "f1_up", "ic", "rank_ic"]
    assert still["mae"] == pytest.approx(np.abs(forecast.point).mean())
