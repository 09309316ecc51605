"""The mean of a target that is trained on in logarithms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from kallos.folds.cut import cut_inner
from kallos.scoring.fold import fit_fold, forecasts_of
from tests.samples import small_job

LAGS = 3
METRICS = ("rmse", "qlike")


def log_normal(n_rows, sigma=0.3):
    """Return a target whose logarithm is an autoregression with normal innovations."""
    rng = np.random.default_rng(5)
    logs = np.zeros(n_rows)
    for row in range(1, n_rows):
        logs[row] = 0.7 * logs[row - 1] + sigma * rng.normal()
    index = pd.date_range("2010-01-01", periods=n_rows, freq="D", name="timestamp", unit="ns")
    return pd.DataFrame({"log_range": np.exp(logs - 4)}, index=index)


LOGS = {"features": {"target": "log_range", "target_transform": "log"}}


def test_the_mean_of_a_log_normal_target_is_its_median_times_the_factor_of_the_theory(tmp_path):
    job = small_job(tmp_path, log_normal(20_000), model_name="ridge", horizon=2, **LOGS)
    fitted = fit_fold(job)
    (forecast,) = forecasts_of(job, fitted)
    np.testing.assert_allclose(forecast.mean / forecast.point, np.broadcast_to(fitted.mean_to_median, (39, 2, 1)))
    # The variance of the forecast's error is sigma squared one row ahead, and 1 + .7 ** 2 times that two rows ahead.
    theory = np.exp(np.array([0.09, 0.09 * 1.49]) / 2)
    np.testing.assert_allclose(fitted.mean_to_median[:, 0], theory, rtol=0.02)


def test_the_factor_is_duans_over_the_rows_of_inner_validation_which_its_model_did_not_see(tmp_path):
    frame = log_normal(700)
    job = small_job(tmp_path, frame, model_name="ridge", **LOGS)
    job = replace(job, fit=replace(job.fit, params={**job.fit.params, "input_chunk_length": LAGS, "alpha": 1.0}))
    fitted = fit_fold(job)
    (series,) = fitted.series
    cut = cut_inner(series.fold, job.fit.training.inner_validation, lead=1, horizon=1)
    scaled = series.target.values()[: series.fold.train_stop, 0].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, LAGS + 1)
    learnt, watched = windows[: cut.fit_stop - LAGS], windows[cut.inner_start - LAGS :]
    model = Ridge(alpha=1.0).fit(learnt[:, :LAGS], learnt[:, LAGS])
    (std,) = series.target_scale.std
    residuals = (watched[:, LAGS] - model.predict(watched[:, :LAGS])) * std
    np.testing.assert_allclose(fitted.mean_to_median[0, 0], np.exp(residuals).mean(), rtol=1e-4)


def test_a_target_in_its_own_units_has_one_mean_and_median(tmp_path):
    job = small_job(tmp_path, log_normal(700), model_name="ridge", features={"target": "log_range"})
    (forecast,) = forecasts_of(job, fit_fold(job))
    np.testing.assert_array_equal(forecast.mean, forecast.point)


def test_with_qlike_a_volatility_is_forecast_by_the_root_of_its_mean_square(tmp_path):
    jobs = [small_job(tmp_path, log_normal(20_000), model_name="ridge", metric=each, **LOGS) for each in METRICS]
    mean, root = (float(fit_fold(job).mean_to_median[0, 0]) for job in jobs)
    # exp(s ** 2 / 2), and of the square exp((2 s) ** 2 / 2) ** (1 / 2).
    assert mean == pytest.approx(np.exp(0.09 / 2), rel=0.02)
    assert root == pytest.approx(np.exp(0.09), rel=0.02)
    errors = {}
    for name, factor in {"mean": mean, "root": root}.items():
        # As qlike scores a volatility: by the ratio of squares.
        ratio = (np.exp(0.3 * np.random.default_rng(1).normal(size=100_000)) / factor) ** 2
        errors[name] = np.mean(ratio - np.log(ratio) - 1)
    assert errors["root"] < errors["mean"]
