import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kallos.errors import UsageError
from kallos.scoring.metrics import Forecast, Scoring, columns_of, measure
from kallos.scoring.positions import Trading
from kallos.specs.metrics import BUILT_IN

OF_POSITIONS = ("sharpe", "sharpe_proportional", "turnover", "turnover_proportional", "expectancy", "hit_rate")
DAILY = Trading(rows_per_year=252)
LEVELS = (0.1, 0.5, 0.9)

returns = arrays(np.float64, (8, 1, 2), elements=st.integers(-5, 5).map(lambda each: each / 100))


def score(name, forecast, actual, trading=DAILY, **over):
    return measure(name, Forecast.of_points(forecast), actual, Scoring((2,) * actual.shape[2], trading=trading, **over))


def series(*values):
    return np.array(values, float).reshape(-1, 1, 1)


def forecasts_and_returns(seed=0, shape=(250, 1, 1)):
    rng = np.random.default_rng(seed)
    actual = 0.01 * rng.standard_t(5, size=shape)
    return 0.3 * actual + 0.01 * rng.normal(size=shape), actual


@pytest.mark.parametrize("name", ["sharpe", "sharpe_proportional"])
@pytest.mark.parametrize("cost_bps", [0.0, 10.0])
def test_the_sharpe_ratio_is_that_of_a_back_test_in_pandas(name, cost_bps):
    forecast, actual = forecasts_and_returns()
    signal = pd.Series(forecast.ravel())
    position = np.sign(signal) if name == "sharpe" else signal
    costs = position.diff().abs().fillna(position.abs().iloc[0]) * cost_bps / 10_000
    earned = position * pd.Series(actual.ravel()) - costs
    expected = earned.mean() / earned.std() * np.sqrt(252)
    assert score(name, forecast, actual, Trading(cost_bps, 252)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["turnover", "turnover_proportional"])
def test_the_turnover_is_what_is_traded_in_a_year_for_a_mean_position_of_one(name):
    forecast, actual = forecasts_and_returns()
    signal = pd.Series(forecast.ravel())
    position = np.sign(signal) if name == "turnover" else signal
    traded = position.diff().abs().fillna(position.abs().iloc[0])
    assert score(name, forecast, actual) == pytest.approx(traded.mean() / position.abs().mean() * 252)


def test_turning_every_day_trades_twice_a_day_but_for_the_first():
    forecast = series(1, -1, 1, -1)
    assert score("turnover", forecast, forecast) == pytest.approx((1 + 2 + 2 + 2) / 4 * 252)
    assert score("turnover", np.ones_like(forecast), forecast) == pytest.approx(1 / 4 * 252)
    assert score("turnover", np.zeros_like(forecast), forecast) == 0


def test_expectancy_and_hit_rate_are_those_of_the_times_with_a_position():
    forecast, actual = series(1, 0, -1, -1, 1), series(0.02, 0.05, 0.01, -0.03, 0.0005)
    # Bought, sold, sold short, held, turned.
    earned = [0.02, 0.0, -0.01, 0.03, 0.0005]
    assert score("expectancy", forecast, actual) == pytest.approx(sum(earned) / 4)
    assert score("hit_rate", forecast, actual) == 3 / 4
    costs = 0.001 * (1 + 1 + 1 + 0 + 2)
    trading = Trading(cost_bps=10)
    assert score("expectancy", forecast, actual, trading) == pytest.approx((sum(earned) - costs) / 4)
    # The last gain does not pay for turning.
    assert score("hit_rate", forecast, actual, trading) == 2 / 4
    # Who earns nothing has hit nothing.
    assert score("hit_rate", series(1, 1), series(0, 0.01)) == 1 / 2


def test_the_expectancy_is_what_winning_and_losing_come_to():
    forecast, actual = forecasts_and_returns(1)
    earned = np.sign(forecast) * actual
    wins, losses = earned[earned > 0], earned[earned <= 0]
    expected = len(wins) / len(earned) * wins.mean() + len(losses) / len(earned) * losses.mean()
    assert score("expectancy", forecast, actual) == pytest.approx(expected)


def test_only_the_first_step_is_traded():
    forecast, actual = forecasts_and_returns(shape=(50, 3, 1))
    for name in OF_POSITIONS:
        assert score(name, forecast, actual) == score(name, forecast[:, :1], actual[:, :1])


def test_a_label_that_looks_ahead_is_held_as_long_and_no_two_positions_overlap():
    forecast, actual = forecasts_and_returns(shape=(100, 1, 1))
    weekly = Trading(10, rows_per_year=252, rows_held=5)
    for name in OF_POSITIONS:
        once_a_week = score(name, forecast[::5], actual[::5], Trading(10, rows_per_year=252 / 5))
        assert score(name, forecast, actual, weekly) == pytest.approx(once_a_week)


def test_each_target_is_a_strategy_of_its_own():
    forecast, actual = forecasts_and_returns(shape=(50, 1, 2))
    for name in OF_POSITIONS:
        alone = [score(name, forecast[:, :, [i]], actual[:, :, [i]]) for i in (0, 1)]
        assert score(name, forecast, actual) == pytest.approx(np.mean(alone))


def test_what_is_not_defined_has_no_number():
    actual = series(0.01, -0.02, 0.03)
    idle = {name: score(name, np.zeros_like(actual), actual) for name in OF_POSITIONS}
    assert {name for name, value in idle.items() if math.isnan(value)} == {
        "sharpe",
        "sharpe_proportional",
        "expectancy",
        "hit_rate",
    }
    # Each day earns the same, up to rounding.
    assert math.isnan(score("sharpe", series(1, -1, 1), series(0.1, -0.1, 0.1)))
    assert math.isnan(score("sharpe", series(1), series(0.1)))
    forecast = Forecast.of_points(-actual)
    columns = columns_of(OF_POSITIONS, forecast, actual, Scoring((2,)))
    # Nobody has said how many rows a year has.
    assert [name for name, value in columns.items() if value is not None] == ["expectancy", "hit_rate"]


@given(returns, returns)
def test_a_turned_forecast_earns_the_opposite_without_costs(forecast, actual):
    for name in ("sharpe", "sharpe_proportional", "expectancy"):
        there, back = (score(name, sign * forecast, actual) for sign in (1, -1))
        assert there == pytest.approx(-back, nan_ok=True)


@given(returns, returns, st.floats(0.01, 100), st.floats(0, 50))
def test_nothing_depends_on_the_size_of_all_forecasts_together(forecast, actual, factor, cost_bps):
    trading = Trading(cost_bps, rows_per_year=252)
    for name in OF_POSITIONS:
        after = score(name, factor * forecast, actual, trading)
        assert after == pytest.approx(score(name, forecast, actual, trading), rel=1e-6, abs=1e-9, nan_ok=True)


@given(returns, returns, st.floats(0, 50))
def test_costs_never_pay(forecast, actual, cost_bps):
    for name in ("expectancy", "hit_rate"):
        before, after = (score(name, forecast, actual, Trading(cost)) for cost in (0, cost_bps))
        assert math.isnan(before) or after <= before + 1e-12


@pytest.mark.parametrize("name", [name for name, metric in BUILT_IN.items() if metric.unit == "none"])
def test_a_score_without_a_unit_is_the_same_in_any(name):
    rng = np.random.default_rng(6)
    actual = np.exp(rng.normal(size=(40, 2, 2)))
    forecast = Forecast.of_quantiles(np.exp(rng.normal(size=(40, 2, 2, 3))), LEVELS, np.full((2, 1, 1), 1.2))
    unit, reference = np.array([0.01, 7.0]), np.array([0.9, 1.1])
    own = Scoring((1, 2), change=np.array([0.5, 2.0]), reference=reference, trading=Trading(20, 252))
    scaled = Scoring((1, 2), unit, own.change, reference / unit, own.trading)
    expected = measure(name, forecast, actual, own)
    assert measure(name, forecast.over(unit), actual / unit, scaled) == pytest.approx(expected)


def test_the_expectancy_of_several_targets_is_in_their_units():
    forecast, actual = forecasts_and_returns(shape=(50, 1, 2))
    unit, trading = np.array([0.01, 0.02]), Trading(5)
    alone = [score("expectancy", forecast[:, :, [i]], actual[:, :, [i]], trading) / unit[i] for i in (0, 1)]
    together = score("expectancy", forecast / unit, actual / unit, trading, unit=unit)
    assert together == pytest.approx(np.mean(alone))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"cost_bps": -1.0}, "cost_bps must be a number of at least 0, not -1.0"),
        ({"cost_bps": math.nan}, "cost_bps must be a number of at least 0, not nan"),
        ({"cost_bps": math.inf}, "cost_bps must be finite, not inf"),
        ({"rows_per_year": 0}, "rows_per_year must be a number above 0, not 0"),
        ({"rows_per_year": math.inf}, "rows_per_year must be finite, not inf"),
        ({"rows_held": 0}, "rows_held must be a whole number of at least 1, not 0"),
    ],
)
def test_trading_that_cannot_be_is_refused(over, said):
    with pytest.raises(UsageError, match=said):
        Trading(**over)
