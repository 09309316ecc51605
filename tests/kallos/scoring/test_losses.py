"""Networks trained on each loss, on series whose best forecast is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kallos.architectures.losses import LOSSES
from kallos.scoring.fold import fit_fold, forecasts_of
from tests.samples import evaluated, small_job

# One linear layer, which forecasts nearly the same from any two rows.
LINEAR = {"input_chunk_length": 2, "normalize": False, "lr": 0.01, "batch_size": 128}
ROWS = 1_000


def table(values, name="log_return_close"):
    index = pd.date_range("2015-01-01", periods=len(values), freq="D", name="timestamp", unit="ns")
    return pd.DataFrame({name: values}, index=index)


def forecasts(tmp_path, frame, loss, params=None, **over):
    job = small_job(tmp_path, frame, **{"model_name": "nlinear", "training": {"loss": loss, "max_epochs": 25}, **over})
    job = replace(job, fit=replace(job.fit, params={**job.fit.params, **LINEAR, **(params or {})}))
    (forecast,) = forecasts_of(job, fit_fold(job))
    return forecast.point[:, 0, 0]


def test_squares_find_the_mean_absolute_errors_the_median_and_huber_what_lies_between(tmp_path):
    values = np.random.default_rng(3).exponential(size=ROWS)
    frame = table(values)
    mse, mae, small, middle = (
        forecasts(tmp_path, frame, loss, params).mean()
        for loss, params in (("mse", {}), ("mae", {}), ("huber", {"loss_delta": 0.1}), ("huber", {"loss_delta": 1.0}))
    )
    assert mse == pytest.approx(values.mean(), abs=0.06)
    assert mae == pytest.approx(np.median(values), abs=0.06)
    assert small == pytest.approx(mae, abs=0.06)
    assert mae < middle < mse


def test_a_penalty_on_wrong_signs_gets_more_signs_right_where_the_mean_has_the_rarer_one(tmp_path):
    # Seven of ten values are 1 and three are -3: the mean is -.2.
    values = np.where(np.random.default_rng(4).random(ROWS) < 0.7, 1.0, -3.0)
    by_squares = forecasts(tmp_path, table(values), "mse")
    by_signs = forecasts(tmp_path, table(values), "directional", {"loss_penalty": 5.0})
    assert np.mean(by_squares < 0) > 0.9
    assert np.mean(by_signs > 0) > 0.9


@pytest.mark.parametrize(("name", "power"), [("log_range", 2), ("realised_variance", 1)])
def test_qlike_finds_the_root_of_the_mean_square_of_a_volatility_and_the_mean_of_a_variance(tmp_path, name, power):
    values = np.exp(0.4 * np.random.default_rng(5).normal(size=ROWS) - 4)
    features = {"target": name, "target_transform": "log"}
    found = forecasts(tmp_path, table(values, name), "qlike", features=features).mean()
    assert found == pytest.approx((values**power).mean() ** (1 / power), rel=0.05)
    # As against the median, which squares of logarithms find.
    assert found > 1.06 * np.median(values)


def test_samples_are_weighed_by_any_loss(tmp_path):
    # Values are three times as large in the second half, and with a short half-life only these count.
    values = np.random.default_rng(6).exponential(size=ROWS) * np.repeat([1.0, 3.0], ROWS // 2)
    alike, recent = (
        forecasts(tmp_path, table(values), "mae", {"half_life": half_life}).mean() for half_life in (0, 40)
    )
    median = np.median(values[ROWS // 2 :])
    assert recent == pytest.approx(median, rel=0.15)
    assert alike < recent


@pytest.mark.parametrize("loss", LOSSES)
def test_several_targets_with_weights_are_fitted_by_any_loss(tmp_path, loss):
    values = np.exp(np.random.default_rng(7).normal(size=(160, 3)))
    frame = table(values[:, 0], "a").assign(b=values[:, 1], c=values[:, 2])
    features = {"target": ["a", "b", "c"], "target_transform": "log" if loss == "qlike" else "none"}
    training = {"loss": loss, "max_epochs": 2}
    job = small_job(tmp_path, frame, model_name="nlinear", horizon=2, features=features, training=training)
    weighted = replace(job, fit=replace(job.fit, params={**job.fit.params, "half_life": 20}))
    plain, by_weight = evaluated(job).rmse, evaluated(weighted).rmse
    assert np.isfinite([plain, by_weight]).all()
    assert plain != by_weight


def test_a_loss_is_in_the_fingerprint_of_a_network_and_not_of_a_regression(tmp_path):
    def fingerprints(loss):
        trained = {"model_name": "nlinear,ridge", "training": {"loss": loss}}
        job = small_job(tmp_path, **trained)
        return [replace(job, fit=replace(job.fit, model_name=name)).fingerprint for name in ("nlinear", "ridge")]

    (of_network, of_regression), (other_network, other_regression) = fingerprints("mse"), fingerprints("mae")
    assert of_network != other_network
    assert of_regression == other_regression
