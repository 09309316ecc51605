"""The flow on a real Prefect server."""

import json
import logging
import re
from contextlib import nullcontext
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from prefect import flow
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.states import Failed
from pydantic import SecretStr

import flows.places
import flows.tune
from flows.server.failures import note_failure
from flows.server.fold_storage import FoldStorage
from flows.session import watching
from flows.tune import tune
from kallos.cache import FoldCache
from kallos.errors import DataError, FitError, StorageError
from kallos.features.store import FeatureStore
from kallos.planning import plan_study
from kallos.scoring.fold import evaluate_fold
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.events import FoldScored, TrialFinished
from kallos.study.files import read_study
from kallos.study.names import artifact_key
from kallos.tuner import run_tuning
from kallos.workers.processes import WorkerLostError
from tests.samples import (
    by_learning_rate,
    content_of,
    make_features,
    small_job,
    small_plan,
    small_spec,
    stand_in_pool,
)

pytestmark = pytest.mark.usefixtures("prefect_server", "home")


ALONE = RunSpec(workers=1)


def evaluate_by(monkeypatch, evaluate) -> None:
    """Evaluate the flow's folds by a function in this process."""
    monkeypatch.setattr(flows.places, "FoldPool", lambda *_, **__: nullcontext(stand_in_pool(evaluate)))


def refuse(job):
    pytest.fail(f"{job.name} was fitted again")


def kept_folds() -> list[Path]:
    """Return the files of the fold cache."""
    return [path for path in Path(Settings.read().fold_cache).rglob("*") if path.is_file()]


def forget_the_record() -> None:
    """Leave only the cache of what a study has computed."""
    (Settings.read().home_dir / "studies.db").unlink()


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch) -> None:
    """Processes take seconds to start, and pages to draw; the tests about them have their own."""
    evaluate_by(monkeypatch, evaluate_fold)
    monkeypatch.setattr(flows.tune, "report_html", lambda result, **_: result.study_name)


@pytest.fixture
def database(home) -> None:
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features()})


def task_runs_of(run_flow) -> tuple[object, dict[str, str]]:
    """Run the flow inside another, and return its result with the states of the task runs by name."""
    result, runs = all_task_runs_of(run_flow)
    return result, {run.name: run.state.name for run in runs}


def all_task_runs_of(run_flow) -> tuple[object, list[TaskRun]]:
    """Run the flow inside another, and return its result with its task runs."""
    result = flow(run_flow, name="outer")()
    with get_client(sync_client=True) as client:
        children = client.read_flow_runs()
        tuned = [run for run in children if run.name.startswith("tune-") and run.parent_task_run_id is not None]
        latest = max(tuned, key=lambda run: run.created)
        of_run = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[latest.id]))
        return result, client.read_task_runs(task_run_filter=of_run)


def test_the_flow_leaves_the_result_that_the_library_computes(database, tmp_path):
    result, states = task_runs_of(lambda: tune(small_spec(), ALONE, "results").result)
    document = json.loads(Path("results/gru_ABC_best_params.json").read_text())
    by_library = run_tuning(small_plan(tmp_path))
    assert [trial.value for trial in result.trials] == [trial.value for trial in by_library.trials]
    assert document["best_value"] == by_library.best_value
    assert document["best_params"] == by_library.best_params
    assert document["data"]["sha256"] == small_plan(tmp_path).data.sha256
    own = Path("results") / result.study_name
    assert json.loads((own / "best_params.json").read_text()) == document
    assert read_study(str(own / "study.json")) == result
    assert (own / "report.html").read_text() == Path("results/gru_ABC_report.html").read_text() == result.study_name
    folds = {f"trial-{trial}-fold-{fold}" for trial in range(3) for fold in (1, 2)}
    assert {name for name in states if name.startswith("trial-")} == folds
    assert {states[name] for name in folds} == {"Completed"}
    assert {name.rsplit("-", 1)[0] for name in states.keys() - folds} == {
        "load_features",
        "choose",
        "create_splits",
        "study",
        "forecast_best",
        "weigh_columns",
        "write_report",
    }


def test_artifacts_show_the_result_under_keys_that_stay(database, tmp_path):
    progress = []

    def look(event):
        if isinstance(event, TrialFinished):
            progress.append(Artifact.get("progress-gru-abc").data)

    with watching(look):
        result = tune(small_spec(), ALONE, str(tmp_path)).result
    best, trials = (Artifact.get(key) for key in ("best-params-gru-abc", "trials-gru-abc"))
    assert f"{result.best_value:.6g}" in best.data
    assert f"[The full report]({(tmp_path / result.study_name / 'report.html').as_uri()})" in best.data
    assert "zero" in best.data
    assert [row["trial"] for row in json.loads(trials.data)] == [0, 1, 2]
    assert progress == sorted(progress)
    assert progress[0] == pytest.approx(100 / 3)
    assert progress[-1] == 100


def test_a_second_run_takes_every_fold_from_the_cache(database, monkeypatch):
    first = tune(small_spec(), ALONE, "results").result
    forget_the_record()
    evaluate_by(monkeypatch, refuse)
    again, states = task_runs_of(lambda: tune(small_spec(), ALONE, "results").result)
    assert {state for name, state in states.items() if name.startswith("trial-")} == {"Cached"}
    assert again == first


def test_library_and_flow_share_one_cache(database, monkeypatch, tmp_path):
    cached = FoldCache(Settings.read().fold_cache).through(by_learning_rate)
    by_library = run_tuning(small_plan(tmp_path), evaluate=cached)
    evaluate_by(monkeypatch, refuse)
    assert tune(small_spec(), ALONE, "results").result.trials == by_library.trials


def test_a_cached_fold_whose_forecasts_were_changed_is_computed_again(database, monkeypatch):
    first = tune(small_spec(), ALONE, "results").result
    entries = kept_folds()
    assert len(entries) == 6
    for path in entries:
        # The last value of the file.
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    forget_the_record()
    fitted = []
    evaluate_by(monkeypatch, lambda job: fitted.append(job.name) or evaluate_fold(job))
    again, states = task_runs_of(lambda: tune(small_spec(), ALONE, "results").result)
    assert [trial.value for trial in again.trials] == [trial.value for trial in first.trials]
    assert len(fitted) == len(set(fitted)) == 6
    assert {state for name, state in states.items() if name.startswith("trial-")} == {"Completed"}


def test_a_finished_fold_is_kept_whatever_becomes_of_the_study(database, monkeypatch):
    calls = []
    evaluate_by(monkeypatch, lambda job: calls.append(job.name) or by_learning_rate(job))

    def end(event):
        if isinstance(event, FoldScored) and event.trial == 1:
            raise RuntimeError("the power is gone")

    with watching(end), pytest.raises(RuntimeError, match="the power is gone"):
        tune(small_spec(), ALONE, "results")
    # The fold that was being scored is finished, too.
    assert len(kept_folds()) in (3, 4)
    tune(small_spec(), ALONE, "results")
    # The second run fitted what the first had not finished, and nothing else.
    assert calls == [f"trial-{trial}-fold-{fold}" for trial in range(3) for fold in (1, 2)]


def test_trials_and_folds_are_logged_and_nothing_of_the_libraries(database, caplog):
    caplog.set_level(logging.INFO)
    result = tune(small_spec(), ALONE, "results").result
    of_study = [record for record in caplog.records if getattr(record, "task_name", None) == "study"]
    opening, *lines, summary, finished = [record for record in of_study if record.levelno >= logging.INFO]
    assert opening.getMessage() == f"study {result.study_name}: new, 3 trials"
    assert summary.getMessage() == "6 folds fitted in this run"
    assert finished.getMessage() == "Finished in state Completed()"
    assert [line.getMessage().split(":")[0] for line in lines] == [
        f"trial {number} {what}" for number in range(3) for what in ("started", "fold 1", "fold 2", "finished")
    ]
    assert f"rmse {result.trials[0].scores[0].rmse:.6g}, " in lines[1].getMessage()
    assert f"rmse {result.trials[0].value:.6g}" in lines[3].getMessage()
    assert "baseline" in lines[3].getMessage()
    assert not [
        record for record in caplog.records if record.name.startswith(("pytorch", "lightning", "darts", "torch"))
    ]
    assert not [record for record in caplog.records if "fold" in str(getattr(record, "task_run_name", ""))]


def test_a_fold_that_fails_for_the_worlds_reasons_is_tried_again(database, monkeypatch):
    calls = []

    def flaky(job):
        calls.append(job.name)
        if job.name == "trial-0-fold-1" and calls.count(job.name) < 3:
            raise OSError("no space left")
        return by_learning_rate(job)

    evaluate_by(monkeypatch, flaky)
    result, runs = all_task_runs_of(lambda: tune(small_spec(), ALONE, "results").result)
    assert calls.count("trial-0-fold-1") == 3
    # The page of the run shows that it took three tries.
    tries = {run.name: (run.state.name, run.run_count) for run in runs if run.name.startswith("trial-")}
    assert tries["trial-0-fold-1"] == ("Completed", 3)
    assert tries["trial-0-fold-2"] == ("Completed", 1)
    assert result.trials[0].state == "complete"


def test_a_fold_that_cannot_be_fitted_is_not_tried_again_and_the_study_goes_on(database, monkeypatch):
    calls = []

    def fail_first(job):
        calls.append(job.name)
        if job.name == "trial-0-fold-1":
            raise FitError("the loss is NaN")
        return by_learning_rate(job)

    evaluate_by(monkeypatch, fail_first)
    result, states = task_runs_of(lambda: tune(small_spec(), ALONE, "results").result)
    assert calls.count("trial-0-fold-1") == 1
    assert states["trial-0-fold-1"] == "Failed"
    assert [trial.state for trial in result.trials] == ["failed", "complete", "complete"]


def test_an_artifact_that_cannot_be_stored_is_a_warning(database, monkeypatch, caplog):
    def refuse(**_):
        raise RuntimeError("the server is gone")

    monkeypatch.setattr(flows.tune, "create_markdown_artifact", refuse)
    tune(small_spec(), ALONE, "results")
    assert Path("results/gru_ABC_best_params.json").exists()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("could not store an artifact" in warning and "the server is gone" in warning for warning in warnings)


def test_a_failed_run_keeps_the_line_that_says_why_and_leaves_a_note(database):
    state = tune(small_spec(data={"asset_id": "ABD"}), ALONE, "results", return_state=True)
    assert state.is_failed()
    with pytest.raises(DataError, match="did you mean 'ABC'"):
        state.result()
    (note,) = (path for path in Path("results").rglob("*") if path.is_file())
    failure = json.loads(note.read_text())
    assert re.fullmatch(r"results/failures/gru_ABD-[0-9a-f]{8}\.json", str(note))
    assert (failure["state"], failure["of"]) == ("Failed", "gru on ABD")
    assert "did you mean 'ABC'" in failure["message"]
    assert "to try at once, give `refresh_cache`" in failure["remedy"]


def test_a_run_by_hand_with_a_typo_leaves_the_nights_result_as_it_is(database, monkeypatch):
    evaluate_by(monkeypatch, by_learning_rate)
    night = tune(small_spec(), ALONE, "results").result
    left = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
    typo = small_spec(features={"exclude": ["volumne"]})
    assert tune(typo, ALONE, "results", return_state=True).is_failed()
    (note,) = {path for path in Path("results").rglob("*") if path.is_file()} - left.keys()
    assert note.parent == Path("results/failures")
    assert {path: path.read_bytes() for path in left} == left
    # Only a result of the very study that has failed takes the note away.
    assert tune(small_spec(), ALONE, "results").result == night
    assert note.exists()


def test_studies_of_other_targets_and_horizons_leave_a_studys_result_and_its_artifacts_as_they_are(
    database, monkeypatch
):
    evaluate_by(monkeypatch, by_learning_rate)
    night = tune(small_spec(), ALONE, "results").result
    own = Path("results") / night.study_name
    left = {path: path.read_bytes() for path in own.iterdir()}
    assert {path.name for path in left} == {
        "best_params.json",
        "columns.json",
        "forecasts.json",
        "report.html",
        "study.json",
    }
    latest = Path("results/gru_ABC_best_params.json")
    other_target = tune(small_spec(features={"target": "macd"}), ALONE, "results").result
    assert json.loads(latest.read_text())["study"] == night.study_name
    assert json.loads(Path("results/gru_ABC_macd_best_params.json").read_text())["study"] == other_target.study_name
    assert "Target `log_return_close`" in Artifact.get("best-params-gru-abc").data
    assert "Target `macd`" in Artifact.get("best-params-gru-abc--macd").data
    other_horizon = tune(small_spec(horizon=2), ALONE, "results").result
    assert json.loads(latest.read_text())["study"] == other_horizon.study_name
    assert {path: path.read_bytes() for path in own.iterdir()} == left
    # The study is held against its own last run, not against the one between.
    tune(small_spec(), ALONE, "results")
    assert "The same as the last run's best" in Artifact.get("best-params-gru-abc").data


@pytest.mark.parametrize("spec", [None, {"data": {"asset_id": "ABC"}, "no_such_field": 1}, "a text"])
def test_a_run_whose_specification_cannot_be_read_leaves_a_note_all_the_same(home, tmp_path, spec):
    run = FlowRun(flow_id=uuid4(), name="brave-finch", parameters={"spec": spec, "output_dir": str(tmp_path)})
    note_failure(tune, run, Failed(message="Validation failed"))
    (note,) = (tmp_path / "failures").iterdir()
    assert re.fullmatch(r"unread-[0-9a-f]{8}\.json", note.name)
    assert json.loads(note.read_text())["flow_run"] == "brave-finch"


def test_a_note_that_cannot_be_left_is_a_warning(home, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    given = {"spec": small_spec().model_dump(mode="json"), "output_dir": str(tmp_path / "file")}
    note_failure(tune, FlowRun(flow_id=uuid4(), name="brave-finch", parameters=given), Failed())
    assert "Failed; could not write a note about it: the output folder must be writable" in caplog.text


def test_whoever_watches_is_told_of_a_study_inside_the_flow(database):
    events = []
    with watching(events.append):
        tune(small_spec(), ALONE, "results")
    assert sum(isinstance(event, FoldScored) for event in events) == 6


def test_refreshing_the_cache_computes_the_study_anew(database, monkeypatch):
    calls = []
    evaluate_by(monkeypatch, lambda job: calls.append(job.name) or by_learning_rate(job))
    first = tune(small_spec(), ALONE, "results").result
    tune(small_spec(), ALONE, "results")
    assert len(calls) == 6
    again = tune(small_spec(), RunSpec(workers=1, refresh_cache=True), "results").result
    assert calls == [*calls[:6], *calls[:6]]
    assert again == first


def test_a_budget_ends_the_flow_with_a_result(database, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    evaluate_by(monkeypatch, by_learning_rate)
    result = tune(small_spec(), RunSpec(workers=1, max_fold_fits=5), "results").result
    assert len(result.trials) == 2
    assert (
        "`max_fold_fits` 5 is spent: 5 folds fitted in this run; the result covers the first 2 of 3 trials, "
        "without 1 pending" in caplog.text
    )
    assert json.loads(Path("results/gru_ABC_best_params.json").read_text())["n_trials"] == 2
    assert len(tune(small_spec(), ALONE, "results").result.trials) == 3


def kept_pages(monkeypatch) -> list[dict]:
    """Keep what pages are made from, in place of making them."""
    made: list[dict] = []
    monkeypatch.setattr(flows.tune, "report_html", lambda result, **rest: made.append(rest) or "page")
    return made


def test_the_best_trials_forecasts_are_those_of_its_fold_and_cost_no_fit(database, monkeypatch, tmp_path):
    pages, calls = kept_pages(monkeypatch), []
    evaluate_by(monkeypatch, lambda job: calls.append(job.name) or by_learning_rate(job))
    # The budget is spent with the study's own folds.
    results = [tune(small_spec(), RunSpec(workers=1, max_fold_fits=6), "results").result for _ in range(2)]
    best = results[0].best
    assert calls == [f"trial-{trial}-fold-{fold}" for trial in range(3) for fold in (1, 2)]
    assert [page["forecasts"].trial for page in pages] == [best.number] * 2
    assert [page["no_forecasts"] for page in pages] == [None, None]
    assert [page["run"].fits for page in pages] == [6, 0]
    assert pages[0]["forecasts"] == pages[1]["forecasts"]
    fold, job = pages[0]["forecasts"].last_fold, small_plan(tmp_path).trial_jobs(best.number, best.params)[-1]
    assert (fold.fingerprint, fold.rmse) == (job.fingerprint, best.scores[-1].rmse)
    assert fold.forecast == (job.fit.params["lr"] + 0.1,)


def test_a_rerun_takes_the_best_trials_forecasts_from_its_folder_or_from_the_cache(database, monkeypatch):
    pages = kept_pages(monkeypatch)
    evaluate_by(monkeypatch, by_learning_rate)
    own = Path("results") / tune(small_spec(), ALONE, "results").result.study_name
    evaluate_by(monkeypatch, refuse)
    (own / "forecasts.json").unlink()
    tune(small_spec(), ALONE, "results")
    assert (own / "forecasts.json").exists()
    for path in kept_folds():
        path.unlink()
    tune(small_spec(), ALONE, "results")
    assert pages[0]["forecasts"] == pages[1]["forecasts"] == pages[2]["forecasts"] is not None


def test_a_fold_that_is_gone_is_fitted_again_for_the_page_within_the_budget_alone(database, monkeypatch):
    pages, calls = kept_pages(monkeypatch), []
    evaluate_by(monkeypatch, lambda job: calls.append(job.name) or by_learning_rate(job))
    result = tune(small_spec(), ALONE, "results").result
    (Path("results") / result.study_name / "forecasts.json").unlink()
    for path in kept_folds():
        path.unlink()
    longer, fits = small_spec(n_trials=4), 2
    tune(longer, RunSpec(workers=1, max_fold_fits=fits), "results")
    assert calls[6:] == ["trial-3-fold-1", "trial-3-fold-2"]
    # The best of four is the best of three: of its fold, nothing is left.
    assert pages[1]["forecasts"] is None
    assert pages[1]["no_forecasts"] == "`max_fold_fits` 2 is spent"
    tune(longer, ALONE, "results")
    # Choosing needs the forecasts of all.
    assert sorted(calls[8:]) == [f"trial-{trial}-fold-{fold}" for trial in range(3) for fold in (1, 2)]
    assert pages[2]["forecasts"] == pages[0]["forecasts"]


def test_refreshing_the_cache_makes_the_best_trials_forecasts_anew(database, monkeypatch):
    pages = kept_pages(monkeypatch)
    evaluate_by(monkeypatch, by_learning_rate)
    for _ in range(2):
        result = tune(small_spec(), RunSpec(workers=1, refresh_cache=True), "results").result
    assert pages[0]["forecasts"] == pages[1]["forecasts"]
    assert pages[1]["run"].fits == 6
    assert len(kept_folds()) == 6
    assert result.best.number == pages[1]["forecasts"].trial


def test_a_study_by_another_metric_takes_every_fold_from_the_cache(database, monkeypatch):
    evaluate_by(monkeypatch, by_learning_rate)
    first = tune(small_spec(), ALONE, "results").result
    evaluate_by(monkeypatch, refuse)
    other, states = task_runs_of(lambda: tune(small_spec(metric="mae"), ALONE, "results").result)
    assert other.study_name != first.study_name
    assert [trial.params for trial in other.trials] == [trial.params for trial in first.trials]
    assert {state for name, state in states.items() if name.startswith("trial-")} == {"Cached"}
    assert len(kept_folds()) == 6


def test_a_fold_whose_forecasts_are_removed_while_its_study_runs_is_said_in_one_line(tmp_path):
    storage, job = FoldStorage(folder=SecretStr(str(tmp_path / "cache"))), small_job(tmp_path)
    result = by_learning_rate(job)
    storage.keep(job, lambda _: result)
    assert storage.take(job) is result
    # A second trial with the same parameters has the same job.
    assert content_of(job, storage.take(job)) == content_of(job, result)
    FoldCache(tmp_path / "cache").remove(job.fingerprint)
    with pytest.raises(
        StorageError, match=r"trial-0-fold-1 must stay in the fold cache while a study runs, and are gone"
    ):
        storage.take(job)


def test_a_picture_that_fails_costs_neither_the_page_nor_the_result(database, monkeypatch, caplog):
    def fail(*_, **__):
        raise FitError("the loss is NaN")

    pages = kept_pages(monkeypatch)
    evaluate_by(monkeypatch, by_learning_rate)
    with monkeypatch.context() as broken:
        broken.setattr(flows.tune, "forecasts_of_best", fail)
        tune(small_spec(), ALONE, "results")
    assert pages[0]["no_forecasts"] == "FitError: the loss is NaN"
    assert "the report lacks the best trial's forecasts: FitError: the loss is NaN" in caplog.text
    monkeypatch.setattr(flows.tune, "report_html", fail)
    state = tune(small_spec(), ALONE, "results", return_state=True)
    assert state.is_completed()
    assert "could not write the report; the result is complete: FitError" in caplog.text
    # No page of an earlier run lies beside this one's result.
    assert not list(Path("results").rglob("*.html"))
    assert len(list(Path("results").glob("*/study.json"))) == 1


def test_one_model_over_two_assets_is_read_tuned_and_shown(database, tmp_path):
    other = make_features(300, seed=1, start="2020-04-10")
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"XYZ": other})
    spec = small_spec(data={"asset_id": ["XYZ", "ABC"]}, model_name="ridge", n_trials=1)
    result = tune(spec, ALONE, "results").result
    by_library = run_tuning(plan_study(pd.concat({"ABC": make_features(), "XYZ": other}), spec, str(tmp_path)))
    assert result.study_name == by_library.study_name
    document = json.loads(Path("results/ridge_ABC+XYZ_best_params.json").read_text())
    assert [row["name"] for row in document["by_asset"]] == ["ABC", "XYZ"]
    assert document["best_value"] == by_library.best_value
    markdown = Artifact.get(artifact_key("best-params", spec))
    assert "| XYZ |" in markdown.data


def test_a_run_that_ends_before_its_page_is_written_leaves_no_earlier_page_beside_the_new_result(
    database, monkeypatch, tmp_path
):
    def fail(*_):
        raise OSError("killed")

    evaluate_by(monkeypatch, by_learning_rate)
    own = Path("results") / small_plan(tmp_path).study_name
    own.mkdir(parents=True)
    for earlier in (Path("results/gru_ABC_report.html"), own / "report.html"):
        earlier.write_text("the page of an earlier result")
    monkeypatch.setattr(flows.tune, "write_study", fail)
    assert tune(small_spec(), ALONE, "results", return_state=True).is_failed()
    assert not list(Path("results").rglob("*.html"))
    assert {path.name for path in Path("results").iterdir()} == {"gru_ABC_best_params.json", own.name, "failures"}


def test_a_fold_that_is_lost_is_said_to_be_tried_again_whenever_it_is(tmp_path, caplog):
    storage = FoldStorage(folder=SecretStr(str(tmp_path / "cache")))
    storage.save(storage.name, overwrite=True)

    def lose(job):
        raise WorkerLostError("the worker was lost")

    fold = flows.tune.fold_task(lose, storage).with_options(retry_delay_seconds=0)
    with pytest.raises(WorkerLostError):
        flow(lambda: fold(small_job(tmp_path)), name="outer")()
    said = [record.getMessage() for record in caplog.records if record.name == "kallos.workers.processes"]
    assert said == ["the worker was lost; trying again"] * 2
