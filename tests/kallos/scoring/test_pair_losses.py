import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kallos.errors import UsageError
from kallos.scoring.losses import loss_of
from kallos.scoring.metrics import Forecast, Scoring, losses_by_origin, losses_by_target, measure, measured
from kallos.scoring.targets import mean_change
from kallos.specs.metrics import BUILT_IN, OBJECTIVES

# The example of sktime's page on its MeanAbsoluteScaledError.
TRAINING = np.array([5, 0.5, 4, 6, 3, 5, 2])
ACTUAL = np.array([3, -0.5, 2, 7, 2]).reshape(-1, 1, 1)
FORECAST = np.array([2.5, 0.0, 2, 8, 1.25]).reshape(-1, 1, 1)
OF_LOSSES = [name for name, metric in BUILT_IN.items() if metric.loss is not None]
LEVELS = (0.1, 0.5, 0.9)
# Of means and root mean squares to medians.
RATIOS = np.array([1.2, 1.3])

moves = arrays(np.float64, (6, 2, 2), elements=st.integers(-5, 5).map(float))


def points(values):
    return Forecast.of_points(np.asarray(values, float))


def pairs(*values):
    """Return values of one step and target."""
    return np.array(values, float).reshape(-1, 1, 1)


def random_forecast(seed=0, *, targets=2):
    """Return positive actual values, and a forecast whose mean, median and quantiles differ."""
    rng = np.random.default_rng(seed)
    actual = np.exp(rng.normal(size=(30, 3, targets)))
    quantiles = np.sort(np.exp(rng.normal(size=(30, 3, targets, 3))), axis=-1)
    return actual, Forecast.of_quantiles(quantiles, LEVELS, RATIOS[:, None, None])


def test_mase_is_that_of_a_published_example():
    scoring = Scoring((2,), change=mean_change(TRAINING[:, None]))
    assert measure("mase", points(FORECAST), ACTUAL, scoring) == pytest.approx(0.18333333333333335)


def test_mase_is_that_of_darts():
    from darts import TimeSeries
    from darts.metrics import mase

    rng = np.random.default_rng(1)
    training, actual, forecast = rng.normal(size=(60, 2)), rng.normal(size=(12, 2)), rng.normal(size=(12, 2))
    series = TimeSeries.from_values(np.r_[training, actual])
    forecasts = TimeSeries.from_times_and_values(series.time_index[60:], forecast)
    expected = mase(series[60:], forecasts, series[:60], m=1)
    scoring = Scoring((2, 2), change=mean_change(training))
    assert measure("mase", points(forecast[:, None]), actual[:, None], scoring) == pytest.approx(expected)


def test_mase_is_no_number_if_the_training_rows_do_not_change():
    for still in (np.ones((9, 1)), np.ones((1, 1))):
        assert np.isnan(measure("mase", points(FORECAST), ACTUAL, Scoring((2,), change=mean_change(still))))


def test_smape_is_that_of_a_published_example():
    # sktime's MeanAbsolutePercentageError(symmetric=True).
    assert measure("smape", points(FORECAST), ACTUAL, Scoring((2,))) == pytest.approx(0.5553379953379953)


def test_smape_is_two_at_most_and_zero_where_both_are_zero():
    assert measure("smape", points(pairs(0.0)), pairs(0.0), Scoring((2,))) == 0
    assert measure("smape", points(pairs(1.0, -1.0)), pairs(0.0, 2.0), Scoring((2,))) == 2
    assert measure("smape", points(pairs(3.0, 0.0)), pairs(1.0, 0.0), Scoring((2,))) == pytest.approx((2 * 2 / 4) / 2)


def test_the_direction_is_right_where_the_signs_agree_and_half_right_where_there_is_none():
    # Right, wrong, wrong, right, nothing said, nothing happened, neither.
    forecast, actual = pairs(1, 1, -1, -1, 0, 1, 0), pairs(2, -2, 2, -2, 2, 0, 0)
    assert measure("direction", points(forecast), actual, Scoring((2,))) == pytest.approx((2 + 3 / 2) / 7)


def test_whoever_says_nothing_of_the_direction_is_as_good_as_a_coin():
    assert measure("direction", points(np.zeros_like(ACTUAL)), ACTUAL, Scoring((2,))) == 0.5


def test_the_direction_of_a_level_is_that_of_its_move_from_the_reference():
    last = pairs(10, 10, 20, 20)
    forecast, actual = pairs(11, 9, 21, 19), pairs(12, 8, 18, 18)
    assert measure("direction", points(forecast), actual, Scoring((2,), reference=last)) == 0.75
    assert measure("direction", points(forecast), actual, Scoring((2,))) == 1.0


def test_the_direction_goes_by_the_median_and_the_rmse_by_the_mean():
    median, mean = pairs(-1, 1), pairs(1, 3)
    forecast, actual = Forecast(median, mean, mean, median[..., None]), pairs(-2, 2)
    assert measure("direction", forecast, actual, Scoring((2,))) == 1.0
    assert measure("rmse", forecast, actual, Scoring((2,))) == pytest.approx(np.sqrt((9 + 1) / 2))


@given(moves, moves)
def test_who_forecasts_the_opposite_is_right_where_the_other_is_wrong(forecast, actual):
    scoring = Scoring((2, 2))
    there, back = (measure("direction", points(sign * forecast), actual, scoring) for sign in (1, -1))
    assert there + back == pytest.approx(1)
    assert 0 <= there <= 1


@given(moves, moves, st.floats(0.01, 100))
def test_smape_and_mase_do_not_depend_on_the_scale(forecast, actual, factor):
    change = np.array([1.0, 3.0])
    for name in ("smape", "mase"):
        before = measure(name, points(forecast), actual, Scoring((2, 2), change=change))
        after = measure(name, points(factor * forecast), factor * actual, Scoring((2, 2), change=factor * change))
        assert after == pytest.approx(before)


@given(moves, moves)
def test_smape_does_not_tell_forecast_and_actual_apart(forecast, actual):
    scoring = Scoring((2, 2))
    there, back = (
        measure("smape", points(forecast), actual, scoring),
        measure("smape", points(actual), forecast, scoring),
    )
    assert there == pytest.approx(back)


@pytest.mark.parametrize("name", OF_LOSSES)
def test_the_mean_of_the_losses_by_origin_and_by_target_determines_the_score(name):
    actual, forecast = random_forecast()
    scoring = Scoring((1, 2), change=np.array([0.5, 2.0]), reference=np.array([0.7, 1.3]))
    loss = loss_of(name, scoring)
    by_origin, by_target = losses_by_origin(name, forecast, actual, scoring), loss.by_target(forecast, actual)
    assert by_origin.shape == (30,)
    assert len(by_target) == 2
    score = measure(name, forecast, actual, scoring)
    for losses in (by_origin, by_target):
        assert loss.of_mean(np.mean(losses)) == pytest.approx(score)
    first = losses_by_origin(name, Forecast(*_first(forecast), LEVELS), actual[:1], scoring)
    assert first == pytest.approx(by_origin[:1])
    np.testing.assert_array_equal(loss.by_origin(forecast, actual), by_origin)
    assert (loss.name, loss.score) == (BUILT_IN[name].loss, BUILT_IN[name].label)


def _first(forecast):
    return [part[:1] for part in forecast.parts]


def test_losses_are_those_that_their_names_say():
    actual, forecast = random_forecast()
    scoring = Scoring((2, 2))
    squared = np.square(forecast.mean - actual).mean(axis=(1, 2))
    np.testing.assert_allclose(losses_by_origin("rmse", forecast, actual, scoring), squared)
    assert losses_by_target("mae", forecast, actual, scoring) == pytest.approx(
        np.abs(forecast.point - actual).mean(axis=(0, 1))
    )
    wrong = losses_by_origin("direction", points(pairs(1, -1, 0)), pairs(1, 1, 1), Scoring((2,)))
    assert wrong.tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - set(OF_LOSSES)))
def test_what_is_not_a_mean_of_losses_has_none_and_is_tested_by_squared_errors(name):
    actual, forecast = random_forecast()
    with pytest.raises(UsageError, match="is not determined by a mean of losses: compare by another metric"):
        losses_by_origin(name, forecast, actual, Scoring((2, 2)))
    assert loss_of(name, Scoring((2, 2))).name == "squared error"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores_by_target_are_those_of_the_target_alone(name):
    actual, forecast = random_forecast()
    scoring = Scoring((1, 2), unit=np.array([1.0, 2.0]), change=np.array([0.5, 2.0]), reference=np.array([0.7, 1.3]))
    scores = measured([name], ["rmse"], forecast, actual, scoring)
    for target, (power, unit, change, reference) in enumerate([(1, 1, 0.5, 0.7), (2, 2, 2, 1.3)]):
        alone = Scoring((power,), np.array([unit]), np.array([change]), np.array([reference]))
        own = measure(name, forecast.of_target(target), actual[:, :, [target]], alone)
        assert scores.by_target[target] == pytest.approx(own)
    each = {name: measure(name, forecast, actual, scoring) for name in dict.fromkeys([name, "rmse"])}
    assert scores.values == pytest.approx(each)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_a_number_for_forecasts_that_say_nothing(name):
    actual = np.random.default_rng(0).normal(size=(20, 2, 1)) ** 2
    flat = Forecast.of_quantiles(np.full((20, 2, 1, 3), 0.3), LEVELS)
    assert np.isfinite(measure(name, flat, actual, Scoring((1,), change=np.ones(1))))
