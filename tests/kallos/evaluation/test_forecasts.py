from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, mean_pinball_loss
from sklearn.preprocessing import StandardScaler

from kallos.baselines.window import Window
from kallos.errors import DataError
from kallos.evaluation.forecasts import evaluate_forecasts
from kallos.evaluation.results import HoldoutEvaluation
from kallos.evaluation.significance import diebold_mariano
from kallos.features.frequency import Frequency
from kallos.report.evaluation import evaluation_markdown, loss_line
from kallos.scoring.forecast import Forecast
from tests.samples import small_spec

AR = -0.7
# HAR knows the law of an autoregression, too.
WITHOUT_HAR = ("zero", "last", "mean", "drift", "seasonal", "ewma")


def holdout_of(
    values, *, start, horizon=1, lead=1, target="y", levels=None, metric="rmse", baselines=WITHOUT_HAR, **columns
):
    index = pd.date_range("2020-01-01", periods=len(values), freq="D")
    frame = pd.DataFrame({"y": values, **columns}, index=index)
    likelihood = {} if levels is None else {"likelihood": "quantile", "quantiles": levels}
    features = {"target": target, "label_horizon": lead}
    spec = small_spec(features=features, horizon=horizon, metric=metric, baselines=baselines, **likelihood)
    return Window.of_holdout(frame, slice(start, len(values)), spec, Frequency("D"))


def measured_by(metric, holdout, **likelihood):
    """Return the same rows, measured otherwise."""
    return replace(
        holdout, spec=holdout.spec.model_copy(update={"metric": metric, "objectives": (metric,), **likelihood})
    )


def autoregression(n_rows, *, seed):
    values = np.random.default_rng(seed).normal(size=n_rows)
    for row in range(1, n_rows):
        values[row] += AR * values[row - 1]
    return values


def true_forecast(holdout):
    """Forecast an autoregression by its own coefficient."""
    return holdout.values[holdout.origins] * AR ** (holdout.lead + np.arange(holdout.horizon))


def evaluate(holdout, forecast, **over):
    arguments = {"model_id": "new", "holdout_evaluations": 1, "tests": 1, **over}
    return evaluate_forecasts(holdout, {"0": in_full(holdout, forecast)}, **arguments)


def in_full(holdout, forecast):
    """Return forecasts of a single target, or without levels, with all axes."""
    levels = holdout.spec.levels
    quantiles = np.reshape(forecast, (*np.shape(forecast)[:2], len(holdout.targets), len(levels)))
    return Forecast.of_quantiles(quantiles, levels)


@lru_cache
def evaluated_autoregression():
    holdout = holdout_of(autoregression(900, seed=0), start=600, horizon=2)
    return holdout, evaluate(holdout, true_forecast(holdout))


def test_a_model_that_knows_the_law_of_a_series_is_shipped_with_about_the_skill_that_the_law_gives():
    _, evaluation = evaluated_autoregression()
    assert evaluation.verdict.decision == "ship"
    # Of a variance of 1 / (1 - a²), the true forecast leaves 1 one step ahead, and 1 + a² two steps ahead.
    true_skill = 1 - np.sqrt((1 + 1 + AR**2) / 2 * (1 - AR**2))
    assert evaluation.baseline in ("zero", "mean")
    assert evaluation.against_baseline.skill == pytest.approx(true_skill, abs=0.05)
    assert evaluation.against_baseline.low < true_skill < evaluation.against_baseline.high


def test_what_a_study_names_counts_and_har_and_ridge_are_compared_with_either_way():
    values = autoregression(900, seed=0)
    _, unnamed = evaluated_autoregression()
    assert list(unnamed.beside) == ["har", "ridge"]
    assert [each.other for each in unnamed.comparisons] == [unnamed.baseline, "har", "ridge"]
    assert any("than HAR" in reason for reason in unnamed.verdict.reasons)
    names = (*WITHOUT_HAR, "har", "column:law")
    law = AR * (1 + AR) / 2 * values
    named = holdout_of(values, start=600, horizon=2, baselines=names, law=law)
    evaluation = evaluate(named, true_forecast(named))
    assert (evaluation.baseline, evaluation.verdict.decision) == ("har", "not shown")
    assert [each.other for each in evaluation.comparisons] == ["har", "ridge"]
    assert evaluation.against_baseline == evaluation.beside["har"]
    by_law = (named.actual[:, :, 0] - law[named.origins, None]) ** 2
    assert evaluation.scores["column:law"].values["rmse"] == pytest.approx(np.sqrt(by_law.mean()))


def test_on_noise_no_model_is_better_than_baseline():
    noise = np.random.default_rng(1)
    for _ in range(10):
        holdout = holdout_of(noise.normal(size=300), start=200)
        evaluation = evaluate(holdout, 0.2 * noise.normal(size=(100, 1)))
        assert evaluation.verdict.decision == "not shown"


def test_an_evaluation_survives_json():
    _, evaluation = evaluated_autoregression()
    assert HoldoutEvaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_an_evaluation_is_the_same_each_time():
    holdout, evaluation = evaluated_autoregression()
    assert evaluate(holdout, true_forecast(holdout)) == evaluation


def test_the_model_is_the_mean_of_its_seeds():
    holdout, evaluation = evaluated_autoregression()
    true = true_forecast(holdout)
    off = np.random.default_rng(2).normal(size=true.shape)
    seeds = {"0": in_full(holdout, true + off), "1": in_full(holdout, true - off)}
    both = evaluate_forecasts(holdout, seeds, model_id="new", holdout_evaluations=1, tests=1)
    assert both.scores["model"].values["rmse"] == pytest.approx(evaluation.scores["model"].values["rmse"])
    errors = seeds["1"].point - holdout.actual
    assert both.rmse_by_member["1"] == pytest.approx(np.sqrt((errors**2).mean()))


def test_a_model_that_is_as_good_as_the_champion_leaves_it_there():
    holdout, _ = evaluated_autoregression()
    forecast = true_forecast(holdout)
    old = {"champion": Forecast.of_points(forecast[..., None]), "champion_id": "old"}
    same = evaluate(holdout, forecast, **old)
    assert (same.verdict.decision, same.against_champion.p_value, same.against_champion.skill) == ("keep", 1.0, 0.0)
    worse = 0.3 * forecast
    old["champion"] = Forecast.of_points(worse[..., None])
    assert evaluate(holdout, forecast, **old).verdict.decision == "ship"
    assert evaluate(holdout, worse * 0, **old).verdict.decision == "not shown"


@pytest.mark.parametrize(
    ("horizon", "rows", "message"),
    [
        (
            1,
            29,
            "a verdict needs 30 forecast origins, and the hold-out of 29 rows has 29 with horizon 1: add 1 rows",
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
    with pytest.raises(DataError, match="must contain a whole horizon of 40 rows, and has 20"):
        holdout_of(values, start=180, horizon=40)
    with pytest.raises(DataError, match="must begin at least 5 rows after the first row"):
        holdout_of(values, start=4, lead=5)


@pytest.mark.parametrize(
    ("forecast", "message"),
    [
        (np.zeros((100, 2)), r"shape \(100, 1, 1, 1\), and those of 0 have shape \(100, 2, 1, 1\)"),
        (np.full((100, 1), np.nan), "forecasts must be finite, and those of 0 are not"),
    ],
)
def test_forecasts_that_do_not_fit_the_origins_are_refused(forecast, message):
    with pytest.raises(DataError, match=message):
        evaluate(holdout_of(autoregression(300, seed=0), start=200), forecast)


def test_a_mean_that_is_not_finite_is_refused_whatever_the_medians():
    holdout = holdout_of(autoregression(300, seed=0), start=200)
    forecast = in_full(holdout, np.zeros((100, 1)))
    forecasts = {"0": replace(forecast, mean=np.full_like(forecast.mean, np.inf))}
    with pytest.raises(DataError, match="forecasts must be finite, and those of 0 are not"):
        evaluate_forecasts(holdout, forecasts, model_id="new", holdout_evaluations=1, tests=1)


def test_a_target_that_stands_still_is_refused():
    with pytest.raises(DataError, match=r"needs a target that varies, and the baseline \(last\) forecasts"):
        evaluate(holdout_of(np.ones(300), start=200), np.ones((100, 1)))


def test_a_study_of_mae_is_judged_by_absolute_errors():
    holdout, by_rmse = evaluated_autoregression()
    forecast = true_forecast(holdout)
    evaluation = evaluate(measured_by("mae", holdout), forecast)
    actual = holdout.actual[..., 0]
    mae = {"model": mean_absolute_error(actual, forecast), "zero": mean_absolute_error(actual, 0 * forecast)}
    assert evaluation.baseline in ("zero", "mean")
    against = evaluation.against_baseline
    assert against.skill == pytest.approx(1 - mae["model"] / mae["zero"], abs=0.002)
    assert against.low < against.skill < against.high
    errors = np.abs(actual - forecast).mean(axis=1), np.abs(actual).mean(axis=1)
    assert against.statistic == pytest.approx(diebold_mariano(*errors, overlap=2).statistic, rel=0.05)
    assert "its MAE is" in evaluation.verdict.reasons[0]
    assert by_rmse.against_baseline.statistic != against.statistic
    assert loss_line(evaluation) == "The tests compare the absolute error."


def test_a_study_by_qlike_is_judged_by_qlike_without_baselines_that_are_not_positive():
    logs = 0.3 * autoregression(900, seed=0)
    holdout = holdout_of(np.exp(logs), start=600, metric="qlike")
    # The target is a volatility: its forecast is the root of the mean square of a lognormal value.
    forecast = np.exp(AR * logs[holdout.origins] + 0.3**2)[:, None]
    evaluation = evaluate(holdout, forecast)
    assert "zero" not in evaluation.scores
    ratio = (np.exp(logs[600:]) / forecast[:, 0]) ** 2
    assert evaluation.by_metric["model"] == pytest.approx((ratio - np.log(ratio) - 1).mean())
    model, other = (evaluation.by_metric[name] for name in ("model", evaluation.baseline))
    assert evaluation.against_baseline.skill == pytest.approx(1 - model / other)
    assert (evaluation.verdict.decision, evaluation.loss, evaluation.compared_by_metric) == ("ship", "QLIKE", "qlike")
    assert "its QLIKE is" in evaluation.verdict.reasons[0]
    with pytest.raises(DataError, match="must be positive with metric qlike, and those of 0 are not"):
        evaluate(holdout, -forecast)
    with pytest.raises(DataError, match="needs a baseline whose QLIKE is finite, and zero have none"):
        evaluate(holdout_of(np.exp(logs), start=600, metric="qlike", baselines=["zero"]), forecast)


LEVELS = (0.1, 0.5, 0.9)


def pinball(actual, quantiles):
    """Return the mean pinball loss over the levels, by scikit-learn."""
    return np.mean(
        [
            mean_pinball_loss(actual.ravel(), quantiles[..., position].ravel(), alpha=level)
            for position, level in enumerate(LEVELS)
        ]
    )


def test_quantiles_are_judged_by_their_pinball_loss_beside_quantiles_of_baseline_errors():
    values = autoregression(900, seed=0)
    holdout = holdout_of(values, start=600, horizon=2, levels=LEVELS, metric="crps")
    actual = holdout.actual[..., 0]
    # Of normal errors, one and two steps ahead.
    spread = np.array([1, np.sqrt(1 + AR**2)])[:, None] * norm.ppf(LEVELS)
    quantiles = true_forecast(holdout)[..., None] + spread
    evaluation = evaluate(holdout, quantiles)
    assert evaluation.by_metric["model"] == pytest.approx(2 * pinball(actual, quantiles))
    assert evaluation.scores["model"].values["mae"] == pytest.approx(
        mean_absolute_error(actual, true_forecast(holdout))
    )
    # The first origin is row 599. What zeros miss is the value itself, of the first step from row 1 on, and so on.
    of_zero = np.stack([np.quantile(values[1:599], LEVELS), np.quantile(values[2:600], LEVELS)])
    zero = pinball(actual, np.broadcast_to(of_zero, quantiles.shape))
    assert evaluation.by_metric["zero"] == pytest.approx(2 * zero)
    last = np.stack(
        [np.quantile(values[1:599] - values[:598], LEVELS), np.quantile(values[2:600] - values[:598], LEVELS)]
    )
    last = pinball(actual, values[599:898, None, None] + last)
    assert evaluation.by_metric["last"] == pytest.approx(2 * last)
    assert evaluation.against_baseline.skill == pytest.approx(1 - pinball(actual, quantiles) / zero, abs=0.01)
    assert evaluation.verdict.decision == "ship"
    assert "its CRPS is" in evaluation.verdict.reasons[0]
    assert evaluation.loss == "CRPS"
    assert HoldoutEvaluation.model_validate_json(evaluation.model_dump_json()) == evaluation
    assert "| forecaster | skill over it | CRPS | RMSE | MAE | MASE | direction | rank IC |" in evaluation_markdown(
        evaluation
    )
    # By RMSE the same quantiles are judged by their median.
    by_rmse = evaluate(measured_by("rmse", holdout), quantiles)
    assert by_rmse.scores["model"] == evaluated_autoregression()[1].scores["model"]


def test_a_custom_metric_is_shown_and_the_verdict_is_on_squared_errors(tmp_path, monkeypatch):
    (tmp_path / "worst_metric.py").write_text(
        "def worst(forecasts, actual):\n    return abs(forecasts - actual).max()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    holdout, by_rmse = evaluated_autoregression()
    evaluation = evaluate(measured_by("worst_metric:worst", holdout), true_forecast(holdout))
    assert evaluation.by_metric["zero"] == np.abs(holdout.actual).max()
    assert evaluation.against_baseline == by_rmse.against_baseline
    assert (
        loss_line(evaluation)
        == "worst_metric:worst is not a mean over forecasts, so the tests compare the squared error."
    )


def test_several_targets_are_judged_together_in_standard_deviations_of_what_is_known():
    first, second = autoregression(900, seed=0), autoregression(900, seed=1)

    def evaluated(size):
        holdout = holdout_of(first, start=600, horizon=2, target=["y", "z"], z=size * second)
        last = holdout.observed[holdout.origins]
        ahead = AR ** (1 + np.arange(2))
        return holdout, evaluate(holdout, last[:, None] * ahead[:, None])

    holdout, evaluation = evaluated(1.0)
    assert holdout.actual.shape == (299, 2, 2)
    scaled = StandardScaler().fit(holdout.observed[:600]).transform(holdout.observed)
    moves = np.stack([scaled[600 + step : 899 + step] - scaled[599:898] for step in (0, 1)], axis=1)
    assert evaluation.scores["last"].values["rmse"] == pytest.approx(np.sqrt(np.mean(moves**2)))
    true_skill = 1 - np.sqrt((1 + 1 + AR**2) / 2 * (1 - AR**2))
    assert evaluation.against_baseline.skill == pytest.approx(true_skill, abs=0.03)
    assert evaluation.verdict.decision == "ship"
    assert evaluation.target_label == "y, z"
    assert "standard deviations of each target" in loss_line(evaluation)
    # The units of a target say nothing of its weight.
    other = evaluated(1e6)[1]
    for name, scores in evaluation.scores.items():
        assert other.scores[name].values == pytest.approx(scores.values), name
    assert other.against_baseline.p_value == pytest.approx(evaluation.against_baseline.p_value)
