import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from kallos.architectures import registry
from kallos.cache import FoldCache
from kallos.errors import DataError, FitError, UsageError
from kallos.folds.cut import Fold
from kallos.report.rows import best_params_markdown
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.scoring.forecast import Forecast
from kallos.scoring.losses import loss_of
from kallos.scoring.metrics import Scoring, measure
from kallos.specs.metrics import custom_metric
from kallos.specs.study import metric_with_unit, parse_tune_spec
from kallos.study.best_params import BestParams
from kallos.tuner import run_tuning
from tests.kallos.baselines.test_garch import simulated_garch
from tests.samples import (
    baseline_values,
    content_of,
    evaluated,
    fold_result,
    make_features,
    score_of,
    small_job,
    small_plan,
    small_spec,
)

LEVELS = (0.1, 0.5, 0.9)
OF_VARIANCE = Scoring((1,))
DLINEAR = {"model_name": "dlinear", "training": {"max_epochs": 1}}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of custom metrics."""
    module = tmp_path / "own_metrics.py"
    module.write_text(
        "import numpy as np\n"
        "def largest(forecasts, actual):\n    return np.abs(forecasts - actual).max()\n"
        "def broken(forecasts, actual):\n    raise ValueError('no luck')\n"
        "def below(forecasts, actual):\n    return -1.0\n"
        "def picky(forecasts, actual):\n    if (forecasts == 7).any():\n        raise ValueError('no sevens')\n"
        "    return np.abs(forecasts - actual).mean()\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield module
    sys.modules.pop("own_metrics", None)


def test_pinball_loss_and_crps_are_those_of_others():
    rng = np.random.default_rng(0)
    actual, quantiles = rng.normal(size=(7, 3, 1)), rng.normal(size=(7, 3, 1, 3))
    forecast = Forecast.of_quantiles(quantiles, LEVELS)
    expected = np.mean(
        [
            mean_pinball_loss(actual.ravel(), quantiles[..., position].ravel(), alpha=level)
            for position, level in enumerate(LEVELS)
        ]
    )
    assert measure("pinball", forecast, actual, OF_VARIANCE) == pytest.approx(expected)
    assert measure("crps", forecast, actual, OF_VARIANCE) == pytest.approx(2 * expected)
    assert measure("mae", forecast, actual, OF_VARIANCE) == pytest.approx(
        mean_absolute_error(actual.ravel(), quantiles[..., 1].ravel())
    )


def test_the_crps_of_many_quantiles_is_that_of_the_normal_distribution():
    from scipy.stats import norm

    levels = tuple(((np.arange(2000) + 0.5) / 2000).tolist())
    actual = np.array([[[0.7]]])
    zeros = np.zeros((1, 1, 1))
    forecast = Forecast(zeros, zeros, zeros, norm.ppf(levels)[None, None, None], levels)
    # Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", section 4.2.
    closed = 0.7 * (2 * norm.cdf(0.7) - 1) + 2 * norm.pdf(0.7) - 1 / np.sqrt(np.pi)
    assert measure("crps", forecast, actual, OF_VARIANCE) == pytest.approx(closed, rel=1e-3)


def test_qlike_is_the_loss_of_patton_in_variances():
    actual, forecast = np.array([[[2.0, 3.0]]]), Forecast.of_points(np.array([[[4.0, 2.0]]]))
    # The first target is a variance, the second a volatility.
    expected = np.mean([2 / 4 - np.log(2 / 4) - 1, 9 / 4 - np.log(9 / 4) - 1])
    assert measure("qlike", forecast, actual, Scoring((1, 2))) == pytest.approx(expected)
    loss = loss_of("qlike", Scoring((1, 2)))
    assert loss.by_origin(forecast, actual) == pytest.approx([expected])
    assert (loss.name, loss.of_mean(expected)) == ("QLIKE", expected)
    assert measure("qlike", Forecast.of_points(actual), actual, Scoring((1, 2))) == 0
    for refused in (0.0, -1.0):
        assert measure("qlike", Forecast.of_points(np.full((1, 1, 2), refused)), actual, Scoring((1, 2))) == np.inf


def test_qlike_takes_the_mean_of_a_variance_the_root_mean_square_of_another_target_and_never_the_median():
    actual, median, mean, rms = (np.full((1, 1, 2), each) for each in (3.0, 1.0, 2.0, 2.5))
    forecast = Forecast(median, mean, rms, median[..., None])
    of_variance, of_volatility = 3 / 2 - np.log(3 / 2) - 1, (3 / 2.5) ** 2 - np.log((3 / 2.5) ** 2) - 1
    for powers, expected in (
        ((1, 1), of_variance),
        ((2, 2), of_volatility),
        ((1, 2), (of_variance + of_volatility) / 2),
    ):
        assert measure("qlike", forecast, actual, Scoring(powers)) == pytest.approx(expected)


@pytest.mark.parametrize("power", [1, 2])
def test_on_simulated_garch_qlike_is_least_at_the_true_variance(power):
    returns, variance = simulated_garch(100_000)
    # A squared return is a noisy measure of its variance, with the variance as its mean.
    actual, true = ((each ** (1 / power))[:, None, None] for each in (returns**2, variance))
    shares = np.arange(0.8, 1.21, 0.05)
    losses = [
        measure("qlike", Forecast.of_points(true * share ** (1 / power)), actual, Scoring((power,))) for share in shares
    ]
    assert shares[np.argmin(losses)] == pytest.approx(1)
    unconditional = np.full_like(true, variance.mean() ** (1 / power))
    before = np.roll(true, 5, axis=0)
    for other in (unconditional, before):
        assert measure("qlike", Forecast.of_points(other), actual, Scoring((power,))) > min(losses)


def test_a_study_by_qlike_leaves_out_baselines_that_are_not_positive_and_refuses_a_target_that_is_not(tmp_path):
    rng = np.random.default_rng(0)
    frame = make_features().assign(log_range=np.exp(0.3 * rng.normal(size=400)))
    over = {"metric": "qlike", "features": {"target": "log_range"}}
    plan = small_plan(tmp_path, frame, **over)
    assert "zero" not in plan.baseline_values
    assert plan.baseline in ("mean", "har")
    window, rows = plan.windows[0], frame["log_range"].to_numpy()
    ratio = (rows[320:360] / rows[:320].mean()) ** 2
    assert window.baseline_values["mean"] == pytest.approx((ratio - np.log(ratio) - 1).mean())
    assert metric_with_unit(plan.spec) == "QLIKE"
    with pytest.raises(UsageError, match="needs a baseline with a finite qlike in all folds; zero have none"):
        small_plan(tmp_path, frame, **over, baselines=["zero"])
    frame.iloc[330, frame.columns.get_loc("log_range")] = 0.0
    with pytest.raises(
        DataError, match="metric qlike needs a target that is positive, and 'log_range' is not at 2020-11-26"
    ):
        small_plan(tmp_path, frame, **over)


def test_a_model_that_forecasts_a_variance_below_zero_fails_its_trial_by_qlike(tmp_path):
    frame = make_features().assign(log_range=lambda each: np.exp(each["log_return_open"]))
    plan = small_plan(tmp_path, frame, **DLINEAR, metric="qlike", features={"target": "log_range"})

    def evaluate(job):
        result = fold_result(job, -0.5 if job.name == "trial-1-fold-2" else 0.5)
        (asset,) = result.assets
        return replace(result, assets=(replace(asset, observed=np.ones((1, 1))),))

    trials = run_tuning(plan, evaluate=evaluate).trials
    assert [trial.state for trial in trials] == ["complete", "failed", "complete"]
    said = "forecasts must be positive with metric qlike, and some are not: set `target_transform` to 'log'"
    assert (trials[1].reason, len(trials[1].scores)) == (said, 1)
    # In variances, 1 / .25.
    assert trials[0].value == pytest.approx(4 - np.log(4) - 1)


def test_a_specification_survives_json():
    spec = small_spec()
    assert parse_tune_spec(json.loads(spec.model_dump_json())) == spec
    other = small_spec(metric="mae", likelihood="quantile", quantiles=[0.9, 0.5, 0.1])
    assert parse_tune_spec(json.loads(other.model_dump_json())) == other
    assert other.quantiles == LEVELS


def test_each_metric_and_each_set_of_quantiles_is_another_study(tmp_path, own):
    overs = [
        {},
        {"metric": "mae"},
        {"likelihood": "quantile"},
        {"likelihood": "quantile", "metric": "crps"},
        {"likelihood": "quantile", "quantiles": LEVELS},
        {"metric": "own_metrics:largest"},
    ]
    plans = [small_plan(tmp_path, **over) for over in overs]
    assert len({plan.study_name for plan in plans}) == len({plan.family for plan in plans}) == len(overs)
    # A metric is no part of a fit; quantiles are.
    assert len({plan.trial_jobs(0, {})[0].fingerprint for plan in plans}) == 3
    own.write_text(own.read_text() + "\n# another\n")
    # What runs here is what was loaded; a new process loads the other one.
    assert small_plan(tmp_path, **overs[-1]).study_name == plans[-1].study_name
    sys.modules.pop("own_metrics")
    custom_metric.cache_clear()
    other = small_plan(tmp_path, **overs[-1])
    assert other.study_name != plans[-1].study_name
    assert other.family != plans[-1].family
    assert other.trial_jobs(0, {})[0].fingerprint == plans[-1].trial_jobs(0, {})[0].fingerprint


def test_a_study_minimises_its_metric_and_says_its_name(tmp_path):
    result = run_tuning(small_plan(tmp_path, **DLINEAR, metric="mae", n_trials=2))
    assert result.best_value == pytest.approx(np.mean([score.mae for score in result.best.scores]))
    assert result.best_value == min(trial.value for trial in result.trials if trial.value is not None)
    target = make_features()["log_return_close"]
    assert result.baseline_values["zero"] == pytest.approx(target.iloc[320:].abs().mean())
    document = BestParams.of(result)
    assert document.metric == "mae"
    assert document.folds[0].value == document.folds[0].values["mae"]
    assert "**MAE " in best_params_markdown(result)


def test_a_custom_metric_is_minimised(tmp_path, own):
    job = small_job(tmp_path, **DLINEAR, metric="own_metrics:largest", horizon=2)
    forecast = forecasts_of(job, fit_fold(job))[0].point[..., 0]
    actual = np.lib.stride_tricks.sliding_window_view(make_features()["log_return_close"].to_numpy()[320:360], 2)
    assert evaluated(job, "own_metrics:largest").value == pytest.approx(np.abs(forecast - actual).max())


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"metric": "rsme"}, "^metric must be a known metric, or module:function .*, not 'rsme': did you mean 'rmse'"),
        (
            {"metric": "no_such_module:f"},
            "must be the module:NAME of a function, and 'no_such_module:f' cannot be",
        ),
        ({"metric": "own_metrics:number"}, "must name a function .forecasts, actual. -> float"),
        ({"metric": "crps"}, "'crps' needs quantile forecasts: set likelihood to 'quantile'"),
        ({"quantiles": [0.4, 0.5, 0.6]}, "quantiles need likelihood 'quantile'"),
        ({"likelihood": "quantile", "quantiles": [0.1, 0.5]}, "must be distinct, lie between 0 and 1, and contain 0.5"),
        ({"likelihood": "quantile", "model_name": "gru,ets"}, "needs other models than 'ets', which forecasts"),
        ({"features": {"target": ["a", "a"]}}, r"must not repeat a name, as \['a', 'a'\] does"),
        ({"forecast": "rolling"}, "forecast is not a field"),
        ({"pruner": "hyperband"}, "pruner"),
    ],
    ids=str,
)
def test_what_cannot_be_scored_is_refused_in_one_line(over, said, own):
    with pytest.raises(UsageError, match=said) as raised:
        parse_tune_spec({"data": {"asset_id": "ABC"}, **over})
    assert "\n" not in str(raised.value)


def test_a_metric_that_raises_or_falls_below_zero_is_refused_before_the_first_fit(tmp_path, own):
    with pytest.raises(FitError, match="own_metrics:broken raised ValueError: no luck"):
        small_plan(tmp_path, metric="own_metrics:broken")
    with pytest.raises(UsageError, match="must return a finite number of at least 0"):
        small_plan(tmp_path, metric="own_metrics:below")


def test_a_custom_metric_that_raises_for_some_forecasts_fails_their_trial_alone_and_their_fit_is_kept(tmp_path, own):
    def evaluate(job):
        return fold_result(job, 7.0 if job.name == "trial-1-fold-1" else 2.0)

    plan, cache = small_plan(tmp_path, metric="own_metrics:picky", pruner="none"), FoldCache(tmp_path / "cache")
    trials = run_tuning(plan, evaluate=cache.through(evaluate)).trials
    assert [(trial.state, trial.value) for trial in trials] == [("complete", 2.0), ("failed", None), ("complete", 2.0)]
    assert "own_metrics:picky raised ValueError: no sevens" in trials[1].reason
    failed = plan.trial_jobs(1, trials[1].params)[0]
    assert score_of(failed, cache.read(failed.fingerprint), "mae").value == 7.0


@pytest.mark.parametrize("name", ["dlinear", "tft", "gru"])
def test_networks_forecast_quantiles_without_drawing_samples(tmp_path, name):
    over = {"model_name": name, "likelihood": "quantile", "quantiles": LEVELS, "metric": "crps", "horizon": 2}
    job = small_job(tmp_path, **over, training={"max_epochs": 1})
    fitted = fit_fold(job)
    (forecast,), (prepared,) = forecasts_of(job, fitted), fitted.series
    assert forecast.quantiles.shape == (39, 2, 1, 3)
    known = slice(0, prepared.fold.validation_start)
    alone = fitted.model.predict(
        2,
        series=prepared.target[known],
        past_covariates=prepared.past_covariates[known],
        predict_likelihood_parameters=True,
        verbose=False,
    )
    for position, level in enumerate(LEVELS):
        own = prepared.target_scale.restore(alone[f"log_return_close_q{level:.3f}"].values())
        np.testing.assert_allclose(forecast.quantiles[0, ..., position], own, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(forecast.point, forecast.quantiles[..., 1])
    first, second = evaluate_fold(job), evaluate_fold(job)
    assert content_of(job, first) == content_of(job, second)
    assert score_of(job, first, "crps").value == evaluated(job, "crps").value


def test_trained_quantiles_lie_above_as_many_values_as_they_say(tmp_path):
    frame = make_features()[["log_return_close"]]
    over = {"likelihood": "quantile", "quantiles": LEVELS, "metric": "pinball", "training": {"max_epochs": 30}}
    job = small_job(tmp_path, frame, model_name="dlinear", **over)
    job = replace(job, fit=replace(job.fit, params={**job.fit.params, "input_chunk_length": 3, "lr": 0.01}))
    (forecast,) = forecasts_of(job, fit_fold(job))
    actual = frame["log_return_close"].to_numpy()[320:360, None, None, None]
    assert (actual < forecast.quantiles).mean(axis=(0, 1, 2)) == pytest.approx(LEVELS, abs=0.15)


def test_quantiles_of_baseline_forecasts_are_their_errors_on_the_rows_known_at_the_first_origin():
    rows = [0.0, 1.0, 3.0, 2.0, 5.0, 4.0, 9.0]
    fold = Fold(1, 0, 5, 5, 7)
    frame = pd.DataFrame({"log_return_close": rows})
    simple = ("zero", "last", "mean")
    spec = small_spec(likelihood="quantile", quantiles=LEVELS, metric="pinball", baselines=simple)
    scores = {name: value for name, value in baseline_values(frame, fold, spec).items() if name in simple}
    steps, levels = np.diff(rows[:5]), np.quantile(rows[1:5], LEVELS)
    last = np.mean(
        [
            mean_pinball_loss([4.0, 9.0], np.array([5.0, 4.0]) + np.quantile(steps, level), alpha=level)
            for level in LEVELS
        ]
    )
    zero = np.mean(
        [mean_pinball_loss([4.0, 9.0], [at, at], alpha=level) for at, level in zip(levels, LEVELS, strict=True)]
    )
    # Known at the window's first origin, and so is the error of the mean on these rows.
    around_mean = np.quantile(np.subtract(rows[1:5], 2.2), LEVELS) + 2.2
    mean = np.mean(
        [mean_pinball_loss([4.0, 9.0], [at, at], alpha=level) for at, level in zip(around_mean, LEVELS, strict=True)]
    )
    assert scores == {"zero": pytest.approx(zero), "last": pytest.approx(last), "mean": pytest.approx(mean)}


TWO = {"target": ["log_return_close", "macd"]}


def test_several_targets_are_scored_in_standard_deviations_of_their_training_rows(tmp_path):
    frame = make_features()
    job = small_job(tmp_path, frame, **DLINEAR, features=TWO, horizon=3)
    fitted = fit_fold(job)
    (prepared,), forecast = fitted.series, forecasts_of(job, fitted)[0].point
    assert forecast.shape == (38, 3, 2)
    names = TWO["target"]
    scale = frame[names].iloc[:320].std(ddof=0).to_numpy()
    actual = np.stack([frame[names].to_numpy()[row : row + 3] for row in range(320, 358)])
    result = evaluate_fold(job)
    np.testing.assert_array_equal(result.assets[0].actual, actual)
    score = score_of(job, result)
    assert score.rmse == pytest.approx(np.sqrt(np.mean(((forecast - actual) / scale) ** 2)))
    assert score.n_forecasts == actual.size
    # One origin at a time, from what is known there.
    known = slice(0, 320)
    alone = fitted.model.predict(
        3, series=prepared.target[known], past_covariates=prepared.past_covariates[known], verbose=False
    )
    np.testing.assert_allclose(forecast[0], prepared.target_scale.restore(alone.values()), rtol=1e-3, atol=1e-6)


def test_the_last_value_of_several_targets_is_that_of_a_standard_scaler(tmp_path):
    from sklearn.preprocessing import StandardScaler

    frame, names = make_features(), TWO["target"]
    plan = small_plan(tmp_path, frame, features=TWO)
    scaled = StandardScaler().fit(frame[names].iloc[:320]).transform(frame[names])
    expected = np.sqrt(np.mean((scaled[320:360] - scaled[319:359]) ** 2))
    assert plan.windows[0].baseline_rmse["last"] == pytest.approx(expected)


def test_several_targets_have_quantiles_of_their_own(tmp_path):
    over = {"likelihood": "quantile", "quantiles": LEVELS, "metric": "crps", "horizon": 2}
    job = small_job(tmp_path, **DLINEAR, features=TWO, **over)
    fitted = fit_fold(job)
    (prepared,), quantiles = fitted.series, forecasts_of(job, fitted)[0].quantiles
    assert quantiles.shape == (39, 2, 2, 3)
    known = slice(0, 320)
    alone = fitted.model.predict(
        2,
        series=prepared.target[known],
        past_covariates=prepared.past_covariates[known],
        predict_likelihood_parameters=True,
        verbose=False,
    )
    scale = prepared.target_scale
    highest = alone[["log_return_close_q0.900", "macd_q0.900"]].values()
    np.testing.assert_allclose(quantiles[0, :, :, 2], scale.restore(highest), rtol=1e-3, atol=1e-6)


def test_a_target_that_stands_still_among_several_is_named(tmp_path):
    frame = make_features().assign(still=1.0)
    with pytest.raises(DataError, match="'still' is constant in fold 1"):
        small_plan(tmp_path, frame, features={"target": ["log_return_close", "still"]})


def test_one_target_in_a_list_is_that_target():
    assert small_spec(features={"target": ["macd"]}) == small_spec(features={"target": "macd"})


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, each in registry().items() if each.stops_early])
def test_every_network_forecasts_quantiles_of_several_targets(tmp_path, name):
    over = {"likelihood": "quantile", "quantiles": LEVELS, "metric": "crps", "horizon": 2}
    job = small_job(tmp_path, **{**DLINEAR, "model_name": name}, features=TWO, **over)
    # What Darts' NLinear cannot have beside a likelihood.
    fitting = {"normalize": False} if name == "nlinear" else {}
    fitted = replace(job, fit=replace(job.fit, params={**job.fit.params, **fitting}))
    assert 0 < evaluated(fitted, "crps").value < 2


@pytest.mark.parametrize("name", ["ridge", "har", "lightgbm"])
def test_every_regression_forecasts_quantiles_of_several_targets(tmp_path, name):
    over = {"likelihood": "quantile", "quantiles": LEVELS, "metric": "crps", "horizon": 2}
    job = small_job(tmp_path, **{**DLINEAR, "model_name": name}, features=TWO, **over)
    assert 0 < evaluated(job, "crps").value < 2


@pytest.mark.parametrize("name", ["ets", "theta", "arima"])
def test_every_classical_model_forecasts_several_targets(tmp_path, name):
    pytest.importorskip("statsforecast")
    assert 0 < evaluated(small_job(tmp_path, **{**DLINEAR, "model_name": name}, features=TWO, horizon=2)).rmse < 2


@pytest.mark.parametrize("name", ["mase", "smape"])
def test_a_study_by_an_error_without_a_unit_scores_models_and_baselines_alike(tmp_path, name):
    frame, over = make_features(), {**DLINEAR, "metric": name, "features": TWO, "horizon": 2, "n_trials": 1}
    plan = small_plan(tmp_path, frame, **over)
    rows = frame[TWO["target"]].to_numpy()
    actual = np.stack([rows[row : row + 2] for row in range(320, 359)])
    last = np.repeat(rows[319:358, None], 2, axis=1)
    if name == "mase":
        expected = np.mean(np.abs(last - actual) / np.abs(np.diff(rows[:320], axis=0)).mean(axis=0))
    else:
        expected = np.mean(2 * np.abs(last - actual) / (np.abs(last) + np.abs(actual)))
    assert plan.windows[0].baseline_values["last"] == pytest.approx(expected)
    score = evaluated(plan.trial_jobs(0, dict(small_job(tmp_path, frame, **over).fit.params))[0], name)
    assert 0.5 < score.value / plan.windows[0].baseline_values["mean"] < 2
    assert score.value == pytest.approx(np.mean(score.by_target))


def test_mase_needs_a_target_that_changes_in_the_training_rows(tmp_path):
    frame = make_features()
    frame.iloc[:320, frame.columns.get_loc("log_return_close")] = 0.5
    with pytest.raises(DataError, match="metric mase needs a target that changes over the training rows of each fold"):
        small_plan(tmp_path, frame, metric="mase")
