"""When a study's result in a folder is whole, and its run need not be carried on."""

import json
from pathlib import Path

import pytest

from kallos.choosing.deflation import deflate
from kallos.planning import StudyPlan
from kallos.report.whole import whole_document
from kallos.study.best_params import BestParams, read_best_params, write_best_params, write_failure
from kallos.study.budget import Budget
from kallos.study.choice import HonestChoice
from kallos.study.files import write_study
from kallos.study.names import failure_name
from kallos.tuner import run_tuning
from tests.samples import by_parameters, make_features, small_plan
from tests.whole_results import write_whole

FITS = 3 * 2


@pytest.fixture
def plan(tmp_path) -> StudyPlan:
    """A study with a current window."""
    return small_plan(tmp_path, make_features(420), pruner="none")


def finish(plan: StudyPlan, folder: Path, budget: Budget | None = None) -> None:
    """Run a study and write its whole result."""
    write_whole(plan, run_tuning(plan, evaluate=by_parameters, budget=budget), folder)


@pytest.fixture
def folder(plan, tmp_path) -> Path:
    """A folder with the whole result of the plan's study."""
    finish(plan, tmp_path / "results")
    return tmp_path / "results"


def test_a_whole_result_is_the_document_that_was_written(plan, folder):
    assert whole_document(plan, str(folder)) == read_best_params(str(folder / plan.study_name))
    assert whole_document(plan, str(folder / "elsewhere")) is None


@pytest.mark.parametrize("kind", ["best_params.json", "study.json", "forecasts.json", "columns.json", "report.html"])
def test_a_result_that_lacks_a_file_is_not_whole(plan, folder, kind):
    (folder / plan.study_name / kind).unlink()
    assert whole_document(plan, str(folder)) is None


def test_a_run_that_leaves_columns_out_takes_a_result_without_them_as_whole(plan, folder):
    (folder / plan.study_name / "columns.json").unlink()
    assert whole_document(plan, str(folder), columns=False) is not None


def test_a_result_whose_last_run_has_failed_is_not_whole(plan, folder):
    write_failure(failure_name(plan.spec), str(folder), {"state": "Crashed"})
    assert whole_document(plan, str(folder)) is None


def test_a_result_is_whole_whatever_else_of_its_model_and_asset_was_run_or_has_failed(plan, folder, tmp_path):
    document = whole_document(plan, str(folder))
    other = small_plan(tmp_path, make_features(420), pruner="none", horizon=2)
    finish(other, folder)
    assert json.loads((folder / "gru_ABC_best_params.json").read_text())["study"] == other.study_name
    write_failure(failure_name(other.spec), str(folder), {"state": "Crashed"})
    assert whole_document(plan, str(folder)) == document
    assert whole_document(other, str(folder)) is None


def test_a_result_on_other_rows_is_not_whole_though_only_its_current_window_differs(plan, folder, tmp_path):
    earlier = small_plan(tmp_path, make_features(420).iloc[:-1], pruner="none")
    assert earlier.study_name == plan.study_name
    assert whole_document(earlier, str(folder)) is None


def test_a_study_file_of_an_earlier_study_makes_no_result_whole(plan, folder, tmp_path):
    earlier = run_tuning(small_plan(tmp_path, make_features(380), pruner="none"), evaluate=by_parameters)
    write_study(earlier, str(folder / plan.study_name))
    assert whole_document(plan, str(folder)) is None


def test_a_result_from_which_a_budget_kept_the_current_window_is_not_whole(plan, folder):
    finish(plan, folder, Budget(max_fold_fits=FITS))
    document = json.loads((folder / plan.study_name / "best_params.json").read_text())
    assert (document["n_trials"], document["current_fold"]) == (3, None)
    assert document["current_fold_failure"] == "`max_fold_fits` 6 is spent"
    assert whole_document(plan, str(folder)) is None


def test_a_result_whose_choice_has_failed_is_not_whole(plan, folder):
    result = run_tuning(plan, evaluate=by_parameters)
    write_best_params(BestParams.of(result, HonestChoice(deflation=deflate(result))), str(folder))
    assert whole_document(plan, str(folder)) is None
