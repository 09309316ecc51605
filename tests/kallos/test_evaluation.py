from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from kallos.errors import DataError
from kallos.evaluation.holdout import Holdout, evaluate_forecasts
from kallos.evaluation.results import HoldoutEvaluation

AR = -0.7


def holdout_of(values, *, start, horizon=1, lead=1, frequency="D", **columns):
    index = pd.date_range("2020-01-01", periods=len(values), freq="D")
    frame = pd.DataFrame({"y": values, **columns}, index=index)
    return Holdout(frame, start, len(values), "y", horizon, lead, frequency)


def autoregression(n_rows, *, seed):
    values = np.random.default_rng(seed).normal(size=n_rows)
    for row in range(1, n_rows):
        values[row] += AR * values[row - 1]
    return values


def true_forecast(holdout):
    """Forecast an autoregression by its own coefficient."""
    return holdout.values[holdout.origins][:, None] * AR ** (holdout.lead + np.arange(holdout.horizon))


def evaluate(holdout, forecast, **over):
    arguments = {"model_id": "new", "asset_id": "ABC", "looks": 1, "tests": 1, **over}
    return evaluate_forecasts(holdout, {"0": forecast}, **arguments)


@lru_cache
def evaluated_autoregression():
    holdout = holdout_of(autoregression(900, seed=0), start=600, horizon=2)
    return holdout, evaluate(holdout, true_forecast(holdout))


def test_a_model_that_knows_the_law_of_a_series_is_shipped_with_about_the_gain_that_the_law_gives():
    _, evaluation = evaluated_autoregression()
    assert evaluation.verdict.decision == "ship"
    # Of a variance of 1 / (1 - a²), the true forecast leaves 1 one step ahead, and 1 + a² two steps ahead.
    true_gain = 1 - np.sqrt((1 + 1 + AR**2) / 2 * (1 - AR**2))
    assert evaluation.naive in ("zero", "mean")
    assert evaluation.against_naive.gain == pytest.approx(true_gain, abs=0.05)
    assert evaluation.against_naive.low < true_gain < evaluation.against_naive.high


def test_on_noise_no_model_is_better_than_naive():
    noise = np.random.default_rng(1)
    for _ in range(10):
        holdout = holdout_of(noise.normal(size=300), start=200)
        evaluation = evaluate(holdout, 0.2 * noise.normal(size=(100, 1)))
        assert evaluation.verdict.decision == "no better than naive"


def test_an_evaluation_survives_json():
    _, evaluation = evaluated_autoregression()
    assert HoldoutEvaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_an_evaluation_is_the_same_each_time():
    holdout, evaluation = evaluated_autoregression()
    assert evaluate(holdout, true_forecast(holdout)) == evaluation


def test_the_model_is_the_mean_of_its_seeds():
    holdout, evaluation = evaluated_autoregression()
    off = np.random.default_rng(2).normal(size=holdout.actual.shape)
    seeds = {"0": true_forecast(holdout) + off, "1": true_forecast(holdout) - off}
    both = evaluate_forecasts(holdout, seeds, model_id="new", asset_id="ABC", looks=1, tests=1)
    assert both.scores["model"].rmse == pytest.approx(evaluation.scores["model"].rmse)
    errors = seeds["1"] - holdout.actual
    assert both.rmse_by_seed["1"] == pytest.approx(np.sqrt((errors**2).mean()))


def test_a_model_that_is_as_good_as_the_one_in_use_leaves_it_there():
    holdout, _ = evaluated_autoregression()
    forecast = true_forecast(holdout)
    same = evaluate(holdout, forecast, in_use=forecast, in_use_id="old")
    assert (same.verdict.decision, same.against_in_use.p_value, same.against_in_use.gain) == ("keep", 1.0, 0.0)
    worse = 0.3 * forecast
    assert evaluate(holdout, forecast, in_use=worse, in_use_id="old").verdict.decision == "ship"
    assert evaluate(holdout, worse * 0, in_use=worse, in_use_id="old").verdict.decision == "no better than naive"


@pytest.mark.parametrize(
    ("horizon", "rows", "message"),
    [
        (
            1,
            29,
            "a verdict needs 30 forecast origins, and the hold-out of 29 rows has 29 with horizon 1: .* 1 rows more",
        ),
        (10, 58, "needs 50 forecast origins, and the hold-out of 58 rows has 49 with horizon 10"),
    ],
)
def test_too_few_origins_for_a_verdict_are_refused_with_the_number_of_rows_to_bring(horizon, rows, message):
    holdout = holdout_of(autoregression(200, seed=0), start=200 - rows, horizon=horizon)
    with pytest.raises(DataError, match=message):
        evaluate(holdout, np.zeros(holdout.actual.shape))


def test_a_hold_out_that_no_horizon_or_origin_fits_is_refused():
    values = autoregression(200, seed=0)
    with pytest.raises(DataError, match="must hold one whole horizon: it has 20 rows, and the horizon is 40"):
        holdout_of(values, start=180, horizon=40)
    with pytest.raises(DataError, match="must begin 5 rows or more behind the first row"):
        holdout_of(values, start=4, lead=5)


@pytest.mark.parametrize(
    ("forecast", "message"),
    [
        (np.zeros((100, 2)), r"shape \(100, 1\): those of 0 have \(100, 2\)"),
        (np.full((100, 1), np.nan), "forecasts must be finite, and those of 0 are not"),
    ],
)
def test_forecasts_that_do_not_fit_the_origins_are_refused(forecast, message):
    with pytest.raises(DataError, match=message):
        evaluate(holdout_of(autoregression(300, seed=0), start=200), forecast)


def test_a_target_that_stands_still_is_refused():
    with pytest.raises(DataError, match=r"the naive one \(last\) makes no error"):
        evaluate(holdout_of(np.ones(300), start=200), np.ones((100, 1)))
