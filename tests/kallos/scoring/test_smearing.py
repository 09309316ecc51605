"""The mean of a target that is trained on in logarithms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from kallos.folds.cut import cut_inner
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.scoring.score import Scorer
from tests.samples import small_job

LAGS = 3


def log_normal(n_rows, sigma=0.3):
    """Return a target whose logarithm is an autoregression with normal innovations."""
    rng = np.random.default_rng(5)
    logs = np.zeros(n_rows)
    for row in range(1, n_rows):
        logs[row] = 0.7 * logs[row - 1] + sigma * rng.normal()
    index = pd.date_range("2010-01-01", periods=n_rows, freq="D", name="timestamp", unit="ns")
    return pd.DataFrame({"log_range": np.exp(logs - 4)}, index=index)


LOGS = {"features": {"target": "log_range", "target_transform": "log"}}


def test_the_means_of_a_log_normal_target_are_its_median_times_the_factors_of_the_theory(tmp_path):
    job = small_job(tmp_path, log_normal(20_000), model_name="ridge", horizon=2, **LOGS)
    fitted = fit_fold(job)
    (forecast,) = forecasts_of(job, fitted)
    assert fitted.to_median.shape == (2, 2, 1)
    for means, factors in zip((forecast.mean, forecast.rms), fitted.to_median, strict=True):
        np.testing.assert_allclose(means / forecast.point, np.broadcast_to(factors, (39, 2, 1)))
    # The variance of the forecast's error is sigma squared one row ahead, and 1 + .7 ** 2 times that two rows ahead.
    variance = np.array([0.09, 0.09 * 1.49])
    # The mean, and the root of the mean square, exp((2 s) ** 2 / 2) ** (1 / 2).
    np.testing.assert_allclose(fitted.to_median[:, :, 0], np.exp([variance / 2, variance]), rtol=0.02)


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
    mean, root = fitted.to_median[:, 0, 0]
    np.testing.assert_allclose(mean, np.exp(residuals).mean(), rtol=1e-4)
    np.testing.assert_allclose(root, np.sqrt(np.exp(2 * residuals).mean()), rtol=1e-4)


def test_a_target_in_its_own_units_has_one_mean_and_median(tmp_path):
    job = small_job(tmp_path, log_normal(700), model_name="ridge", features={"target": "log_range"})
    (forecast,) = forecasts_of(job, fit_fold(job))
    np.testing.assert_array_equal(forecast.mean, forecast.point)
    np.testing.assert_array_equal(forecast.rms, forecast.point)


def test_qlike_scores_a_volatility_by_the_root_of_the_mean_square_and_a_variance_by_the_mean(tmp_path):
    frame = log_normal(20_000)
    job = small_job(tmp_path, frame, model_name="ridge", folds={"n_folds": 1, "window": 5_000}, **LOGS)
    result = evaluate_fold(job)
    (forecast,), actual = result.forecasts(), frame["log_range"].to_numpy()[-5_000:]
    means = {1: forecast.mean.ravel(), 2: forecast.rms.ravel()}
    for power, mean in means.items():
        losses = {name: ((actual / each) ** power) for name, each in means.items()}
        losses = {name: float(np.mean(ratio - np.log(ratio) - 1)) for name, ratio in losses.items()}
        assert Scorer.by("qlike", (power,)).score(result, job.fingerprint).value == pytest.approx(losses[power])
        # Each is the better forecast of what it is scored by.
        assert losses[power] == min(losses.values())
        assert mean.mean() > forecast.point.mean()
