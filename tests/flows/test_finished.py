"""A finished study is answered from its record and files, unless a run has anything to do."""

from pathlib import Path

import pytest

from flows.finished import Known, what_is_known
from kallos.cache import FoldCache
from kallos.planning import StudyPlan
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.record import open_record
from kallos.tuner import run_study
from tests.samples import by_parameters, make_features, small_plan
from tests.whole_results import write_whole

RUN = RunSpec(workers=1)


@pytest.fixture
def plan(home, tmp_path) -> StudyPlan:
    """A finished study with a current window, in record, cache and results."""
    home.mkdir()
    plan, settings = small_plan(tmp_path, make_features(420), pruner="none"), Settings.read()
    with open_record(settings.studies_url, plan) as record:
        through = FoldCache(settings.fold_cache).through
        finished = run_study(plan, evaluate=by_parameters, through=through, record=record)
    write_whole(plan, finished.result, tmp_path / "results")
    return plan


def known(plan: StudyPlan, run: RunSpec = RUN) -> Known | None:
    return what_is_known(plan, run, "results")


def test_a_finished_study_is_known_with_its_result_and_choice(plan):
    found = known(plan)
    assert found.result.study_name == plan.study_name
    assert found.chosen.jobs_sha256 is not None
    assert found.columns is not None
    assert [trial.state for trial in found.result.trials] == ["complete"] * 3


def test_a_run_that_is_to_compute_anew_or_has_more_trials_is_not_known(plan, tmp_path):
    assert known(plan, RunSpec(refresh_cache=True)) is None
    assert known(small_plan(tmp_path, make_features(420), pruner="none", n_trials=4)) is None


def test_a_run_without_columns_is_known_without_them(plan):
    assert known(plan, RunSpec(column_importance=False)).columns is None


@pytest.mark.parametrize("kind", ["best_params.json", "study.json", "forecasts.json", "columns.json", "report.html"])
def test_a_file_that_is_gone_is_written_by_a_run(plan, kind):
    (Path("results") / plan.study_name / kind).unlink()
    assert known(plan) is None


@pytest.mark.parametrize("kind", ["best_params.json", "report.html"])
def test_a_copy_that_is_gone_is_written_by_a_run(plan, kind):
    (Path("results") / f"gru_ABC_{kind}").unlink()
    assert known(plan) is None


@pytest.mark.parametrize("kept", ["studies.db*", "fold-cache/*/*"])
def test_a_record_or_forecasts_that_are_gone_are_made_by_a_run(plan, home, kept):
    for path in list(home.glob(kept)):
        if path.is_file():
            path.unlink()
    assert known(plan) is None
