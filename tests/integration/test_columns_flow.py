"""Which columns matter, as the flow on a real Prefect server says it."""

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows.places
from flows.tune import tune
from kallos.features.store import FeatureStore
from kallos.planning import plan_study
from kallos.report.columns import columns_line
from kallos.report.whole import whole_document
from kallos.scoring.fold import evaluate_fold
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.workers.processes import WorkerLostError
from tests.samples import make_features, small_spec

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

SPEC = small_spec(model_name="ridge", n_trials=2, folds={"window": 60})
RUN = RunSpec(workers=2)


def run_by(monkeypatch, run) -> None:
    """Weigh columns by a function, and do all other work in this process."""

    def run_columns(work, job):
        return run(work, job) if job.name.startswith("columns-") else work(job)

    pool = SimpleNamespace(evaluate=evaluate_fold, run=run_columns)
    monkeypatch.setattr(flows.places, "FoldPool", lambda *_, **__: nullcontext(pool))


def refuse(work, job):
    pytest.fail(f"{job.name} was fitted")


@pytest.fixture(autouse=True)
def database(home, monkeypatch) -> None:
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features(500)})
    run_by(monkeypatch, lambda work, job: work(job))


def columns_of(tuned) -> Path:
    return Path("results") / tuned.result.study_name / "columns.json"


def test_a_study_says_which_columns_matter_in_its_folder_its_page_and_its_log(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    tuned = tune(SPEC, RUN, "results")
    document = json.loads(columns_of(tuned).read_text())
    assert document["groups"][0]["name"] == "log_return_open"
    assert document["groups"][0]["matters"] is True
    assert document["trial"] == tuned.result.best.number
    assert document["fingerprints"] == [score.fingerprint for score in tuned.result.best.scores]
    assert columns_line(tuned.columns) == "columns that matter: log_return_open (of 7 columns)"
    assert columns_line(tuned.columns) in caplog.messages
    page = (columns_of(tuned).parent / "report.html").read_text()
    assert "1 of 7 columns matters" in page
    # Another run of the finished study reads the file.
    run_by(monkeypatch, refuse)
    assert tune(SPEC, RUN, "results").columns == tuned.columns
    assert json.loads(columns_of(tuned).read_text()) == document
    assert (columns_of(tuned).parent / "report.html").read_text().count("1 of 7 columns matters") == 1


def test_a_run_may_leave_the_columns_out(monkeypatch):
    run_by(monkeypatch, refuse)
    tuned = tune(SPEC, RunSpec(workers=1, column_importance=False), "results")
    assert (tuned.columns, tuned.no_columns) == (None, "the run left it out (`column_importance` false)")
    assert not columns_of(tuned).exists()


def test_a_spent_budget_leaves_the_columns_to_the_next_run(monkeypatch):
    plan = plan_study(make_features(500), SPEC, Settings.read().snapshots)
    run_by(monkeypatch, refuse)
    # Two trials on two folds and the current window.
    tuned = tune(SPEC, RunSpec(workers=1, max_fold_fits=5), "results")
    assert tuned.no_columns == "`max_fold_fits` 5 is spent"
    assert "Not shown: `max_fold_fits` 5 is spent." in (columns_of(tuned).parent / "report.html").read_text()
    assert whole_document(plan, "results") is None
    run_by(monkeypatch, lambda work, job: work(job))
    assert tune(SPEC, RUN, "results").columns is not None
    assert whole_document(plan, "results") is not None


def test_columns_that_cannot_be_weighed_are_a_warning_and_not_the_end(caplog, monkeypatch):
    def lose(work, job):
        raise WorkerLostError(f"the worker process of {job.name} was killed")

    run_by(monkeypatch, lose)
    tuned = tune(SPEC, RUN, "results")
    assert tuned.no_columns.startswith("WorkerLostError: the worker process of columns-trial-")
    assert tuned.page is not None
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("the report does not say which columns matter" in warning for warning in warnings)
