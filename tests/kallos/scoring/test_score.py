"""Scores as views of forecasts, against NumPy, scikit-learn and closed forms."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, root_mean_squared_error

from kallos.errors import FitError
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.scoring.score import FoldScore, Scorer
from kallos.tuner import run_tuning
from tests.samples import fold_result, small_job, small_plan, small_spec

KEY = "ab" * 32
LEVELS = (0.1, 0.5, 0.9)
STEPS, TARGETS = 2, 2
WIDTH = (len(LEVELS),)


@pytest.fixture
def result() -> FoldResult:
    """Positive forecasts of two assets in unlike units."""
    rng = np.random.default_rng(1)

    def asset(n_origins, unit):
        return AssetForecasts(
            quantiles=np.sort(rng.uniform(0.5, 2, (n_origins, STEPS, TARGETS, *WIDTH)), axis=-1),
            observed=rng.uniform(0.5, 2, (n_origins + STEPS - 1, TARGETS)),
            reference=np.zeros((n_origins, TARGETS)),
            unit=np.array(unit),
            change=np.ones(TARGETS),
            rows_per_year=np.array([365.25]),
        )

    return FoldResult(
        fit=FoldFit(epochs=3, best_epoch=2, seconds=1.5),
        levels=LEVELS,
        to_median=rng.uniform(1, 1.2, (2, STEPS, TARGETS)),
        assets=(asset(5, [2.0, 0.5]), asset(9, [3.0, 0.1])),
    )


def of_asset(result, position):
    """Return the quantiles and the actual values of an asset in its units, one origin, step and target at a time."""
    asset = result.assets[position]
    n_origins = asset.quantiles.shape[0]
    actual = np.array([[asset.observed[origin + step] for step in range(STEPS)] for origin in range(n_origins)])
    return asset.quantiles / asset.unit[:, None], actual / asset.unit


def over_assets(result, error):
    """Return an error's mean over the assets, its values by asset and its means by target."""
    each = [of_asset(result, position) for position in range(2)]
    by_asset = [error(quantiles, actual) for quantiles, actual in each]
    by_target = [
        np.mean([error(quantiles[:, :, [target]], actual[:, :, [target]], target) for quantiles, actual in each])
        for target in range(TARGETS)
    ]
    return np.mean(by_asset), by_asset, by_target


def mean_of(result, quantiles, target):
    return quantiles[..., 1] * result.to_median[0][:, slice(None) if target is None else [target]]


def test_rmse_is_of_means_and_mae_of_medians_over_all_origins_and_steps_and_then_over_assets(result):
    def rmse(quantiles, actual, target=None):
        return root_mean_squared_error(actual.ravel(), mean_of(result, quantiles, target).ravel())

    def mae(quantiles, actual, target=None):
        return mean_absolute_error(actual.ravel(), quantiles[..., 1].ravel())

    for metric, error in (("rmse", rmse), ("mae", mae)):
        score = Scorer.by(metric, (2, 2)).score(result, KEY)
        value, by_asset, by_target = over_assets(result, error)
        assert score.value == pytest.approx(value)
        assert score.by_asset == pytest.approx(by_asset)
        assert score.by_target == pytest.approx(by_target)
        assert (score.rmse, score.mae) == pytest.approx((over_assets(result, rmse)[0], over_assets(result, mae)[0]))
        assert score.n_forecasts == (5 + 9) * STEPS * TARGETS
        assert (score.epochs, score.best_epoch, score.seconds, score.fingerprint) == (3, 2, 1.5, KEY)


@pytest.mark.parametrize(("metric", "times"), [("pinball", 1), ("crps", 2)])
def test_pinball_loss_and_crps_are_of_all_quantiles(result, metric, times):
    def loss(quantiles, actual, target=None):
        losses = [
            mean_pinball_loss(actual.ravel(), quantiles[..., position].ravel(), alpha=level)
            for position, level in enumerate(LEVELS)
        ]
        return times * np.mean(losses)

    score = Scorer.by(metric, (2, 2)).score(result, KEY)
    value, by_asset, by_target = over_assets(result, loss)
    assert score.value == pytest.approx(value)
    assert score.by_asset == pytest.approx(by_asset)
    assert score.by_target == pytest.approx(by_target)


@pytest.mark.parametrize("powers", [(1, 2), (2, 1), (1, 1), (2, 2)])
def test_qlike_holds_a_variance_against_its_mean_and_a_volatility_against_its_root_mean_square(result, powers):
    def qlike(quantiles, actual, target=None):
        targets = range(TARGETS) if target is None else [target]
        losses = []
        for position, name in enumerate(targets):
            ratio_to_median = result.to_median[0 if powers[name] == 1 else 1][:, name]
            ratio = (actual[..., position] / (quantiles[..., position, 1] * ratio_to_median)) ** powers[name]
            losses.append(ratio - np.log(ratio) - 1)
        return np.mean(losses)

    score = Scorer.by("qlike", powers).score(result, KEY)
    value, by_asset, by_target = over_assets(result, qlike)
    assert score.value == pytest.approx(value)
    assert score.by_asset == pytest.approx(by_asset)
    assert score.by_target == pytest.approx(by_target)


def test_a_forecast_of_a_variance_that_is_not_positive_fails_by_qlike_alone(result):
    (asset, other) = result.assets
    quantiles = asset.quantiles.copy()
    quantiles[2, 1, 0] = 0.0
    broken = replace(result, assets=(replace(asset, quantiles=quantiles), other))
    said = "forecasts must be positive with metric qlike, and some are not: set `target_transform` to 'log'"
    with pytest.raises(FitError, match=said):
        Scorer.by("qlike", (2, 2)).score(broken, KEY)
    assert np.isfinite(Scorer.by("rmse", (2, 2)).score(broken, KEY).value)


def test_a_custom_metric_scores_medians_of_each_asset(result, tmp_path, monkeypatch):
    (tmp_path / "largest_of.py").write_text("def largest(forecasts, actual):\n    return abs(forecasts - actual).max()")
    monkeypatch.syspath_prepend(tmp_path)
    score = Scorer.by("largest_of:largest", (2, 2)).score(result, KEY)
    sys.modules.pop("largest_of")
    each = [of_asset(result, position) for position in range(2)]
    expected = [np.abs(quantiles[..., 1] - actual).max() for quantiles, actual in each]
    assert score.by_asset == pytest.approx(expected)
    assert score.value == pytest.approx(np.mean(expected))


def test_a_study_is_scored_by_its_metric_and_knows_which_targets_are_variances():
    spec = small_spec(metric="qlike", features={"target": ["rv", "log_range"], "variance": ["rv"]})
    assert Scorer.of(spec) == Scorer.by("qlike", (1, 2))


def test_a_score_comes_back_from_json_to_the_bit(result):
    score = Scorer.by("rmse", (2, 2)).score(result, KEY)
    assert FoldScore.model_validate_json(score.model_dump_json()) == score


def test_a_score_names_the_job_whose_forecasts_it_is_of(tmp_path):
    plan = small_plan(tmp_path)
    result = run_tuning(plan, evaluate=lambda job: fold_result(job, 0.5))
    jobs = plan.trial_jobs(result.best.number, result.best.params)
    assert [score.fingerprint for score in result.best.scores] == [job.fingerprint for job in jobs]


def test_another_metric_and_other_variances_are_of_the_same_fit(tmp_path):
    plain = small_job(tmp_path)
    assert small_job(tmp_path, metric="mae").fingerprint == plain.fingerprint
    assert small_job(tmp_path, features={"variance": ["log_return_close"]}).fingerprint == plain.fingerprint
    assert small_job(tmp_path, likelihood="quantile").fingerprint != plain.fingerprint
