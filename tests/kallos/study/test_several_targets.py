import numpy as np
import pandas as pd
import pytest

from kallos.baselines.forecasts import EACH_BEST
from kallos.baselines.window import Window
from kallos.evaluation.forecasts import evaluate_forecasts
from kallos.features.frequency import Frequency
from kallos.report.rows import best_params_markdown
from kallos.report.tables import target_table
from kallos.scoring.fold import fit_fold, forecasts_of
from kallos.scoring.forecast import Forecast
from kallos.scoring.score import FoldScore
from kallos.study.best_params import BestParams
from kallos.tuner import run_tuning
from kallos.words import compared_to, signed
from tests.samples import evaluated, fold_result, make_features, small_job, small_plan, small_spec

TARGETS = ["log_return_close", "level"]
OVER = {"model_name": "dlinear", "features": {"target": TARGETS}, "baselines": ["zero", "last", "mean"]}


def features(n_rows=400):
    """Return a table with a return, of which the mean is the best baseline, and a level, of which the last is."""
    walk = 50 + np.cumsum(np.random.default_rng(5).normal(size=n_rows))
    return make_features(n_rows).assign(level=walk)


def baseline_rmse(frame, fold, rule):
    """Return the RMSE of forecasts one step ahead by a baseline for each target, in deviations of training rows."""
    scale = frame[TARGETS].iloc[fold.train_start : fold.train_stop].std(ddof=0).to_numpy()
    values = frame[TARGETS].to_numpy()
    rows = slice(fold.validation_start, fold.validation_stop)
    last = values[fold.validation_start - 1 : fold.validation_stop - 1]
    mean = values[fold.train_start : fold.validation_start].mean(axis=0)
    by_rule = {"zero": 0 * last, "last": last, "mean": 0 * last + mean}
    forecast = np.stack([by_rule[name][:, i] for i, name in enumerate(rule)], axis=1)
    errors = (values[rows] - forecast) / scale
    return np.sqrt((errors**2).mean()), np.sqrt((errors**2).mean(axis=0))


def test_a_study_of_several_targets_is_held_against_the_better_baseline_forecast_of_each(tmp_path):
    frame = features()
    plan = small_plan(tmp_path, frame, **OVER)
    assert plan.baseline == EACH_BEST
    for planned in plan.folds:
        by_rule = {
            "zero": ("zero", "zero"),
            "last": ("last", "last"),
            "mean": ("mean", "mean"),
            EACH_BEST: ("mean", "last"),
        }
        for name, rule in by_rule.items():
            together, _ = baseline_rmse(frame, planned.folds[0], rule)
            assert planned.window.baseline_rmse[name] == pytest.approx(together)
        assert planned.window.baseline_by_target["zero"] == pytest.approx(
            baseline_rmse(frame, planned.folds[0], by_rule["zero"])[1]
        )
    assert plan.baseline_value < 0.8 * min(plan.baseline_values[name] for name in ("zero", "last", "mean"))
    assert EACH_BEST in plan.current_fold.window.baseline_values if plan.current_fold else True


def test_where_one_rule_is_better_for_all_targets_it_keeps_its_name(tmp_path):
    over = {"features": {"target": ["log_return_close", "weekday"]}, "baselines": ["zero", "last", "mean"]}
    plan = small_plan(tmp_path, **over)
    assert list(plan.baseline_values) == ["zero", "last", "mean", "har", "ridge"]
    assert plan.baseline == "mean"
    window = small_plan(tmp_path).windows[0]
    assert window.baseline_by_target == {name: (value,) for name, value in window.baseline_values.items()}


def test_quantiles_of_several_targets_have_a_baseline_forecast_of_each_target_too(tmp_path):
    plan = small_plan(tmp_path, features(), **OVER, likelihood="quantile", metric="crps")
    assert plan.baseline == EACH_BEST
    window = plan.windows[0]
    # The pinball loss of several targets is the mean of each one's.
    mean, last = window.baseline_by_target["mean"][0], window.baseline_by_target["last"][1]
    assert window.baseline_values[EACH_BEST] == pytest.approx((mean + last) / 2)


def test_a_fold_is_scored_for_each_target_by_itself(tmp_path):
    frame = features()
    job = small_job(tmp_path, frame, **OVER)
    score, forecast = evaluated(job), forecasts_of(job, fit_fold(job))[0].point[:, 0]
    rows = slice(job.folds[0].validation_start, job.folds[0].validation_stop)
    scale = frame[TARGETS].iloc[job.folds[0].train_start : job.folds[0].train_stop].std(ddof=0).to_numpy()
    errors = (frame[TARGETS].to_numpy()[rows] - forecast) / scale
    assert score.by_target == pytest.approx(np.sqrt((errors**2).mean(axis=0)))
    assert evaluated(job, "mae").by_target == pytest.approx(np.abs(errors).mean(axis=0))
    assert FoldScore.model_validate_json(score.model_dump_json()) == score


def of_errors(*by_target):
    return lambda job: fold_result(job, 0.4, by_target=by_target)


def test_a_result_of_several_targets_has_a_row_of_each_beside_its_own_baseline_forecast(tmp_path):
    plan = small_plan(tmp_path, features(), **OVER)
    result = run_tuning(plan, evaluate=of_errors(0.5, 0.2))
    document = BestParams.of(result).model_dump(mode="json")
    rows = document["by_target"]
    assert [(row["name"], row["value"], row["baseline"]) for row in rows] == [
        ("log_return_close", 0.5, "mean"),
        ("level", 0.2, "last"),
    ]
    baseline = np.mean([window.baseline_by_target["last"][1] for window in plan.windows])
    assert rows[1]["baseline_value"] == pytest.approx(baseline)
    assert rows[1]["skill"] == pytest.approx(1 - 0.2 / baseline)
    assert document["folds"][0]["by_target"] == [0.5, 0.2]
    assert document["unit"] == "standard deviations"
    # The root of the mean of .25 and .04.
    assert "**RMSE (in standard deviations) 0.380789**" in best_params_markdown(result)
    assert BestParams.of(run_tuning(small_plan(tmp_path), evaluate=of_errors(0.4))).unit == "own"
    assert "| level | 0.2 |" in best_params_markdown(result)
    assert [row[0] for row in target_table(result).rows] == [
        "log_return_close (baseline: mean)",
        "level (baseline: last)",
    ]


def holdout_of(frame, target):
    return Window.of_holdout(frame, slice(500, 600), small_spec(features={"target": target}), Frequency("D"))


def test_a_verdict_on_several_targets_is_against_the_best_baseline_forecast_of_each_on_the_hold_out():
    noise = np.random.default_rng(0)
    index = pd.date_range("2020-01-01", periods=600, freq="D")
    frame = pd.DataFrame({"r": noise.normal(size=600), "level": 50 + np.cumsum(noise.normal(size=600))}, index=index)
    holdout = holdout_of(frame, ["r", "level"])
    values = frame.to_numpy()
    # What leaves the returns alone and repeats the level is no news.
    forecast = np.stack([0 * values[499:599, 0], values[499:599, 1]], axis=1)[:, None]
    evaluation = evaluate_forecasts(
        holdout, {"0": Forecast.of_points(forecast)}, model_id="m", holdout_evaluations=1, tests=1
    )
    assert evaluation.baseline == EACH_BEST
    assert evaluation.against_baseline.skill <= 0
    assert evaluation.verdict.decision == "not shown"
    assert list(evaluation.scores)[-2:] == ["ridge", EACH_BEST]
    each = [
        evaluate_forecasts(
            holdout_of(frame, name),
            {"0": Forecast.of_points(forecast[..., [position]])},
            model_id="m",
            holdout_evaluations=1,
            tests=1,
        )
        for position, name in enumerate(holdout.targets)
    ]
    scale = frame.iloc[:500].std(ddof=0).to_numpy()
    least = [one.scores[one.baseline].values["rmse"] / unit for one, unit in zip(each, scale, strict=True)]
    assert evaluation.scores[EACH_BEST].values["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(least))))


def test_a_skill_that_rounds_to_nothing_has_no_sign_and_no_side():
    assert [signed(skill, "share") for skill in (-1e-6, 0.0, 1e-6, None)] == ["0.00%", "0.00%", "0.00%", ""]
    assert [signed(0.0123, "share"), signed(-0.0123, "share")] == ["+1.23%", "-1.23%"]
    assert compared_to(-1e-6, "baseline", "share") == "as good as baseline"
    assert [compared_to(0.042, "zero", "share"), compared_to(-0.042, "zero", "share")] == [
        "4.20% better than zero",
        "4.20% worse than zero",
    ]
