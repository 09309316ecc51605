import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from scipy.stats import t

from kallos.evaluation.significance import bandwidth, diebold_mariano, long_run_variance, skill_interval
from kallos.specs.metrics import metric_of


def autoregressive_losses(n, *, seed=0, skill=0.0):
    """Return losses of a model and another forecaster whose difference remembers its past."""
    rng = np.random.default_rng(seed)
    difference = rng.normal(size=n)
    for row in range(1, n):
        difference[row] += 0.5 * difference[row - 1]
    model = rng.uniform(5, 10, n)
    return model, model + difference + skill


def hac_error(difference, n_lags):
    """Return the standard error of a mean as statsmodels has it for a regression on a constant."""
    import statsmodels.api as sm

    fit = sm.OLS(difference, np.ones(len(difference))).fit(cov_type="HAC", cov_kwds={"maxlags": n_lags})
    return float(fit.bse[0])


@pytest.mark.parametrize(("n", "overlap"), [(40, 1), (250, 1), (250, 24), (1000, 5)])
def test_the_statistic_is_that_of_statsmodels_with_the_correction_for_few_forecasts(n, overlap):
    model, other = autoregressive_losses(n, skill=0.5)
    difference = other - model
    n_lags = max(math.ceil(1.3 * math.sqrt(n)), 2 * overlap)
    correction = math.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    expected = correction * difference.mean() / hac_error(difference, n_lags)
    test = diebold_mariano(model, other, overlap=overlap)
    assert test.statistic == pytest.approx(expected)
    assert test.p_value == pytest.approx(1 - t.cdf(expected, 1.5 * n / (n_lags + 1)))


def test_the_long_run_variance_weighs_autocovariances_less_the_further_apart():
    values = np.array([1.0, -1.0, 2.0, -2.0])
    # Autocovariances 10/4, -7/4 and 4/4; weights 1, 2/3 and 1/3, those of lags twice.
    assert long_run_variance(values, 3) == pytest.approx(10 / 4 - 2 * 2 / 3 * 7 / 4 + 2 * 1 / 3 * 4 / 4)
    assert long_run_variance(values, 1) == pytest.approx(values.var())


def test_the_bandwidth_is_twice_the_overlap_or_more_and_never_more_than_there_are_origins():
    assert [bandwidth(100, 1), bandwidth(100, 10), bandwidth(30, 24)] == [14, 21, 30]


def test_the_two_sides_of_a_test_make_up_one():
    model, other = autoregressive_losses(100, seed=3)
    there, back = diebold_mariano(model, other), diebold_mariano(other, model)
    assert there.statistic == pytest.approx(-back.statistic)
    assert there.p_value + back.p_value == pytest.approx(1)


def test_equal_forecasts_are_not_told_apart_and_a_constant_difference_is_certain():
    losses = np.linspace(1, 2, 50)
    assert diebold_mariano(losses, losses).p_value == 1.0
    certain = diebold_mariano(losses, losses + 1)
    assert certain.p_value < 1e-12
    assert math.isfinite(certain.statistic)


def test_the_test_rejects_an_equal_model_as_often_as_its_level_says():
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        errors = rng.standard_t(5, size=(2, 95))
        # Five forecasts on end share errors.
        losses = np.lib.stride_tricks.sliding_window_view(errors**2, 5, axis=1).mean(axis=-1)
        rejected += diebold_mariano(*losses, overlap=5).p_value <= 0.05
    assert 0.035 < rejected / 2000 < 0.065


def test_the_interval_is_that_of_the_stationary_bootstrap():
    model, other = autoregressive_losses(200, skill=0.5)
    length = round(optimal_block_length(other - model)["stationary"].iloc[0])
    bootstrap = StationaryBootstrap(length, model, other, seed=np.random.default_rng(0))
    skills = bootstrap.apply(lambda model, other: 1 - np.sqrt(model.mean() / other.mean()), 2000)
    interval = skill_interval(model, other, confidence=0.9)
    assert length > 2
    assert interval.block_length == length
    assert interval.skill == pytest.approx(1 - np.sqrt(model.mean() / other.mean()))
    assert [interval.low, interval.high] == pytest.approx(np.quantile(skills, [0.05, 0.95]))


def test_the_skill_of_right_signs_is_their_difference():
    model, other = (np.random.default_rng(seed).uniform(size=400) > share for seed, share in ((1, 0.6), (2, 0.5)))
    model, other = model.astype(float), other.astype(float)
    interval = skill_interval(
        model, other, confidence=0.95, of_mean=lambda wrong: 1 - wrong, skill=metric_of("direction").skill
    )
    assert interval.skill == pytest.approx(other.mean() - model.mean())
    # Of two independent shares.
    half = 1.96 * np.sqrt((0.4 * 0.6 + 0.5 * 0.5) / 400)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.15)


def test_the_interval_of_independent_losses_is_that_of_the_normal_law():
    rng = np.random.default_rng(1)
    model, other = rng.normal(size=(2, 4000)) ** 2
    interval = skill_interval(model, other, confidence=0.95)
    # Of log(mean / mean) / 2, with variances of 2 / n each.
    half = 1.96 * 0.5 * np.sqrt(2 * 2 / 4000)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.1)


def test_blocks_are_no_shorter_than_what_forecasts_overlap():
    model, other = np.random.default_rng(2).uniform(size=(2, 100))
    assert skill_interval(model, other, confidence=0.98, overlap=24).block_length == 24


def test_the_interval_of_equal_forecasts_is_nothing():
    losses = np.linspace(1, 2, 50)
    interval = skill_interval(losses, losses, confidence=0.98)
    assert (interval.skill, interval.low, interval.high) == (0, 0, 0)
