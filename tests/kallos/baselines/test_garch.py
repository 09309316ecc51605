import numpy as np
import pandas as pd
import pytest
from arch import arch_model

from kallos.baselines.forecasts import baseline_forecasts
from kallos.baselines.window import Window
from kallos.errors import DataError, UsageError
from kallos.features.frequency import Frequency
from tests.samples import small_spec

OMEGA, ALPHA, BETA = 0.05, 0.1, 0.85


def simulated_garch(n_rows, *, seed=0):
    """Return returns of a GARCH(1,1) and their true variances."""
    noise = np.random.default_rng(seed).normal(size=n_rows)
    variance, returns = np.full(n_rows, OMEGA / (1 - ALPHA - BETA)), np.zeros(n_rows)
    for row in range(n_rows):
        if row:
            variance[row] = OMEGA + ALPHA * returns[row - 1] ** 2 + BETA * variance[row - 1]
        returns[row] = np.sqrt(variance[row]) * noise[row]
    return returns, variance


def holdout_of(frame, *, start, horizon=1, lead=1, name="garch:r", **over):
    features = {"target": ["squared_return_r", "volatility"], "label_horizon": lead}
    spec = small_spec(features=features, horizon=horizon, baselines=("zero", name), **over)
    return Window.of_holdout(frame, slice(start, len(frame)), spec, Frequency("D"))


def frame_of(n_rows=1500, scale=0.01):
    returns, variance = simulated_garch(n_rows)
    index = pd.date_range("2020-01-01", periods=n_rows, freq="D")
    volatility = np.sqrt(variance) * np.exp(0.1 * np.random.default_rng(1).normal(size=n_rows))
    columns = {"r": scale * returns, "squared_return_r": (scale * returns) ** 2, "volatility": 7 * volatility}
    return pd.DataFrame(columns, index=index)


@pytest.mark.parametrize(("lead", "horizon"), [(1, 1), (3, 4)])
def test_garch_forecasts_are_those_of_arch_in_the_units_of_the_target(lead, horizon):
    frame = frame_of()
    holdout = holdout_of(frame, start=1200, lead=lead, horizon=horizon)
    forecast = baseline_forecasts(holdout)["garch:r"].point * holdout.unit
    known = 1200 - lead + 1
    returns = 100 * frame["r"]
    fitted = arch_model(returns[:known], rescale=False).fit(disp="off")
    fixed = arch_model(returns, rescale=False).fix(fitted.params)
    of_arch = fixed.forecast(horizon=lead + horizon - 1, start=known - 1).variance.to_numpy()
    variance = of_arch[: len(holdout.origins), lead - 1 :]
    in_sample = fitted.conditional_volatility
    squares, volatility = (frame[name].iloc[:known].mean() for name in ("squared_return_r", "volatility"))
    expected = np.stack(
        [variance * squares / (in_sample**2).mean(), np.sqrt(variance) * volatility / in_sample.mean()], axis=2
    )
    np.testing.assert_allclose(forecast, expected, rtol=1e-3)


def test_garch_sees_no_row_behind_an_origin():
    before = holdout_of(frame_of(600), start=500, horizon=2, likelihood="quantile")
    frame = before.frame.copy()
    frame.iloc[before.origins[40] + 1 :] *= 1000
    one, other = (
        baseline_forecasts(each)["garch:r"]
        for each in (before, holdout_of(frame, start=500, horizon=2, likelihood="quantile"))
    )
    assert np.array_equal(one.quantiles[:41], other.quantiles[:41])
    assert not np.array_equal(one.quantiles[42:], other.quantiles[42:])


def test_garch_refuses_a_column_that_the_study_lacks_and_a_target_that_is_negative():
    frame = frame_of(200)
    with pytest.raises(UsageError, match="must be one of the study's columns, and 'R' is not: did you mean 'r'"):
        baseline_forecasts(holdout_of(frame, start=150, name="garch:R"))
    with pytest.raises(DataError, match="'volatility' has negative values; remove 'garch:r' from 'baselines'"):
        baseline_forecasts(holdout_of(frame.assign(volatility=frame["r"]), start=150))
    with pytest.raises(DataError, match="needs returns, which are of both signs, and 'r' is not"):
        baseline_forecasts(holdout_of(frame.assign(r=0.01), start=150))


def test_of_a_log_target_garch_forecasts_the_median_by_the_mean_difference_of_logarithms():
    frame = frame_of().drop(columns="squared_return_r")
    features = {"target": "volatility", "target_transform": "log"}
    spec = small_spec(features=features, baselines=("zero", "garch:r"))
    holdout = Window.of_holdout(frame, slice(1200, len(frame)), spec, Frequency("D"))
    forecast = baseline_forecasts(holdout)["garch:r"]
    returns = 100 * frame["r"]
    fitted = arch_model(returns[:1200], rescale=False).fit(disp="off")
    fixed = arch_model(returns, rescale=False).fix(fitted.params)
    ahead = np.sqrt(fixed.forecast(horizon=1, start=1199).variance.to_numpy()[: len(holdout.origins)])
    difference = np.log(frame["volatility"].iloc[:1200]).mean() - np.log(fitted.conditional_volatility).mean()
    np.testing.assert_allclose(forecast.point[:, :, 0], ahead * np.exp(difference), rtol=1e-3)
    assert (forecast.mean > forecast.point).all()
