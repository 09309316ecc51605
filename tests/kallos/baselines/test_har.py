import numpy as np
import pandas as pd
import pytest
from arch.data import vix
from statsmodels.api import OLS, add_constant

from kallos.baselines.forecasts import baseline_forecasts
from kallos.errors import DataError
from tests.kallos.baselines.test_simple import holdout_of, make_holdout, points_of


def test_har_forecasts_with_the_coefficients_of_statsmodels_least_squares_for_each_step():
    holdout = make_holdout(300, start=250, horizon=3, lead=2)
    y = holdout.frame["y"]
    design = add_constant(pd.concat([y.rolling(length).mean() for length in (1, 5, 22)], axis=1).to_numpy())
    # The first origin is row 248, and what it forecasts are rows 250 to 252.
    for step in range(3):
        known = np.arange(21, 249 - 2 - step)
        # A step is fitted on the origins whose whole horizon is known.
        samples = known[known + 4 <= 248]
        fitted = OLS(y.to_numpy()[samples + 2 + step], design[samples]).fit()
        expected = design[holdout.origins] @ fitted.params
        np.testing.assert_allclose(points_of(holdout)["har"][:, step], expected, rtol=1e-9)


def test_har_does_not_forecast_from_fewer_rows_than_it_has_coefficients():
    # Of 27 known rows, the origins 21 to 25 have a month behind them and a row ahead.
    assert "har" in points_of(make_holdout(60, start=27, horizon=1))
    assert "har" not in points_of(make_holdout(60, start=26, horizon=1))


def log_volatility(n_rows=1200, *, seed=3):
    """Return a positive series whose logarithm is an autoregression with normal noise of .4."""
    noise = 0.4 * np.random.default_rng(seed).normal(size=n_rows)
    logs = np.zeros(n_rows)
    for row in range(1, n_rows):
        logs[row] = -1 + 0.8 * (logs[row - 1] + 1) + noise[row]
    return pd.DataFrame({"y": np.exp(logs)}, index=pd.date_range("2020-01-01", periods=n_rows, freq="D"))


@pytest.mark.parametrize("name", ["har", "ridge"])
def test_of_a_log_target_a_regression_forecasts_the_median_and_by_its_errors_the_mean(name):
    frame = log_volatility()
    holdout = holdout_of(frame, 1000, make_holdout().frequency, target_transform="log", levels=(0.1, 0.5, 0.9))
    forecast = baseline_forecasts(holdout)[name]
    of_logs = holdout_of(np.log(frame), 1000, make_holdout().frequency)
    np.testing.assert_allclose(np.log(forecast.point), baseline_forecasts(of_logs)[name].point, rtol=1e-6)
    # The mean of a lognormal value is its median times exp(s^2 / 2).
    ratio = forecast.mean / forecast.point
    assert ratio == pytest.approx(np.exp(0.4**2 / 2), rel=0.03)
    covered = (holdout.actual[..., None] < forecast.quantiles).mean(axis=(0, 1, 2))
    assert covered == pytest.approx([0.1, 0.5, 0.9], abs=0.08)


def test_of_a_log_target_the_others_stay_in_its_own_units():
    frame = log_volatility(200)
    logs, own = (holdout_of(frame, 150, make_holdout().frequency, target_transform=each) for each in ("log", "none"))
    of_logs, of_own = baseline_forecasts(logs), baseline_forecasts(own)
    for name in ("zero", "last", "mean", "drift", "seasonal", "ewma"):
        assert np.array_equal(of_logs[name].mean, of_own[name].mean), name


def test_a_regression_of_logarithms_refuses_a_target_that_is_not_positive():
    frame = log_volatility(200)
    frame.iloc[17] = 0.0
    holdout = holdout_of(frame, 150, make_holdout().frequency, target_transform="log")
    with pytest.raises(DataError, match="target_transform 'log' needs a target that is positive, and 'y' is not at 20"):
        baseline_forecasts(holdout, ["har"])


def test_har_has_the_published_coefficients_of_the_vix():
    """The documentation of `arch` prints them, for 1,237 days of 2014 to 2018 that it ships ("Using the Fixed Variance
    process"): a constant, and the means of 1, 5 and 22 days."""
    known = vix.load()["vix"].dropna().to_numpy()
    # The rows behind them only ask for forecasts, from which the coefficients follow.
    values = np.concatenate([known, known[:60]])
    frame = pd.DataFrame({"y": values}, index=pd.date_range("2014-01-01", periods=len(values), freq="D"))
    holdout = holdout_of(frame, len(known), make_holdout().frequency)
    means = pd.concat([frame["y"].rolling(length).mean() for length in (1, 5, 22)], axis=1)
    design = add_constant(means.to_numpy()[holdout.origins])
    coefficients = np.linalg.lstsq(design, points_of(holdout)["har"][:, 0], rcond=None)[0]
    np.testing.assert_allclose(coefficients.ravel(), [0.6335, 0.9287, -0.0318, 0.0612], atol=6e-5)
