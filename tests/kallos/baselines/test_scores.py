import numpy as np
import pytest

from kallos.errors import UsageError
from kallos.report.rows import best_params_markdown
from kallos.report.tables import baseline_table
from kallos.specs.baselines import DEFAULT_BASELINES
from kallos.study.best_params import BestParams
from kallos.study.catalogue import read_study
from kallos.study.lines import verdict
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import fold_result, make_features, small_plan


def constant(error):
    return lambda job: fold_result(job, error)


def test_har_and_ridge_are_scored_in_each_fold_and_count_only_if_named(tmp_path):
    plan = small_plan(tmp_path, baselines=["zero"])
    assert list(plan.baseline_values) == ["zero", "har", "ridge"]
    assert plan.baseline == "zero"
    # The target follows the signal of the row before, which ridge alone reads.
    assert plan.baseline_values["ridge"] < plan.baseline_value
    named = small_plan(tmp_path, baselines=["zero", "ridge"])
    assert (named.baseline, named.baseline_values) == ("ridge", plan.baseline_values)


def test_a_column_is_a_baseline_with_its_own_errors(tmp_path):
    frame = make_features()
    plan = small_plan(tmp_path, frame, baselines=["zero", "column:log_return_open"])
    opened, target = frame["log_return_open"].to_numpy(), frame["log_return_close"].to_numpy()
    expected = np.sqrt(np.mean((target[320:360] - opened[319:359]) ** 2))
    assert plan.windows[0].baseline_values["column:log_return_open"] == pytest.approx(expected)
    with pytest.raises(UsageError, match="must be one of the study's columns, and 'log_return_opne' is not: did you"):
        small_plan(tmp_path, frame, baselines=["column:log_return_opne"])


def test_other_baselines_make_no_other_study_and_a_study_read_again_shows_those_asked_for(tmp_path):
    url, results = f"sqlite:///{tmp_path}/record.db", []
    plans = [small_plan(tmp_path, baselines=names) for names in (DEFAULT_BASELINES, ["zero", "ridge"])]
    assert len({plan.study_name for plan in plans}) == 1
    fits = []
    for plan in plans:
        with open_record(url, plan) as record:
            scorer = lambda job: fits.append(job) or fold_result(job, 0.001)  # noqa: E731
            results.append(run_tuning(plan, record=record, evaluate=scorer))
        assert read_study(url, plan.study_name).summary.baseline == plan.baseline
    assert results[0].trials == results[1].trials
    assert [result.baseline for result in results] == [plan.baseline for plan in plans]
    assert results[1].baseline == "ridge"
    document = BestParams.of(results[1])
    assert (document.baseline, document.spec.baselines) == ("ridge", ("zero", "ridge"))


def test_the_line_beside_the_skill_names_har_and_ridge_where_they_are_near(tmp_path):
    plan = small_plan(tmp_path, baselines=["zero"])
    ridge, har = plan.baseline_values["ridge"], plan.baseline_values["har"]
    near = run_tuning(plan, evaluate=constant(0.99 * ridge))
    assert "better than the baseline (zero), in" in verdict(near)
    assert "folds; 1.00% better than ridge; " in verdict(near)
    far = run_tuning(plan, evaluate=constant(0.5 * ridge))
    assert "ridge" not in verdict(far)
    worse = run_tuning(plan, evaluate=constant(2 * har))
    assert "no trial beat it; " in verdict(worse)
    assert "worse than har" in verdict(worse)


def test_the_report_shows_all_baselines_and_which_of_them_count(tmp_path):
    result = run_tuning(small_plan(tmp_path, baselines=["zero"]), evaluate=constant(0.009))
    rows = {row[0]: row[1:] for row in baseline_table(result).rows}
    assert [row[-1] for row in (rows["zero"], rows["har"], rows["ridge"])] == ["yes", "no", "no"]
    values = [float(value) for value, *_ in rows.values()]
    assert values == sorted(values)
    shown = best_params_markdown(result)
    assert f"Baselines: zero {result.baseline_value:.6g}; for comparison only: har " in shown
