"""The smallest run of each benchmark that needs Prefect's server or the command as it is typed."""

import json
import threading
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL

import flows.places
import flows.tune
from benchmarks import commands, ingest, loops, many_studies, orchestration, plain, scaling
from benchmarks.bench import Bench
from benchmarks.flow_run import measured
from kallos.features.store import FeatureStore
from kallos.scoring.fold import evaluate_fold
from kallos.specs.files import read_study_file
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_tune_spec
from tests.samples import make_features, stand_in_pool

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

# A year before the end of the studies that are measured, and what fits take least of.
SMALL = {
    "data": {"start_date": "2023-10-01"},
    "folds": {"n_folds": 2, "window": 60},
    "training": {"max_epochs": 1},
}


def write_small_features(home: Path) -> None:
    """Put daily rows for BTC into a home, to the end of the untouched window."""
    with FeatureStore(f"sqlite:///{home / 'features.db'}") as store:
        store.write({"BTC": make_features(731, start="2023-01-01")})


class InThisProcess(Bench):
    """Runs flows and the plain loop in this process, against the server of the tests."""

    def flow(self, spec, home, *, trivial=False, **run):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("KALLOS_HOME", str(home))
            found = measured(spec, RunSpec.model_validate(run), home / "results", trivial=trivial)
        # As JSON has it, which is how a process hands it over.
        return {"wall": 1.0, **json.loads(json.dumps(found))}

    def plain(self, spec, home, tried, *threads):
        return {"wall": 2.0, **plain.tune(spec, home, tried)}


ONE_AT_A_TIME = threading.Lock()


def evaluate_alone(job):
    """Evaluate a fold as a process does, in which no other one draws from torch's generator."""
    with ONE_AT_A_TIME:
        return evaluate_fold(job)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> InThisProcess:
    """A bench whose homes have few rows, and whose commands use the tests' server."""
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
    # Processes take seconds to start, and pages and pictures to draw; the tests about them have their own.
    for module in (flows.places, loops):
        monkeypatch.setattr(module, "FoldPool", lambda *_, **__: nullcontext(stand_in_pool(evaluate_alone)))
    monkeypatch.setattr("kallos.workers.forks.preload", lambda _: None)
    monkeypatch.setattr(flows.tune, "report_html", lambda result, **_: result.study_name)
    monkeypatch.setattr(flows.tune, "report_png", lambda _: b"")
    folder = tmp_path / "bench"
    folder.mkdir()
    return InThisProcess(folder, 1, write_small_features)


def test_kallos_and_the_plain_loop_try_the_same_parameters(bench):
    loops.against_the_plain_loop(bench, "btc", 1.5, seeds=(101,), n_trials=2, **SMALL)
    ratio, threads, untouched = bench.figures
    assert ratio["figure"] == "btc: plain loop / kallos, 2 workers, default pruning"
    assert (ratio["value"], ratio["reached"]) == (2.0, True)
    # The same models, trained on other shuffles of the same samples.
    assert ratio["plain_best"] == pytest.approx(ratio["kallos_best"], rel=0.1)
    assert threads["value"] == 1.0
    assert untouched["value"] == untouched["kallos"] / untouched["plain"]


def test_without_pruning_the_loops_are_compared_alone(bench, monkeypatch):
    # The plain loop in a process of its own.
    monkeypatch.setattr(bench, "plain", partial(Bench.plain, bench))
    loops.against_the_plain_loop(bench, "btc", 5, pruner="none", n_trials=1, **SMALL)
    (ratio,) = bench.figures
    assert ratio["figure"] == "btc: plain loop / kallos, 2 workers, no pruning"
    assert ratio["plain_seconds"] == ratio["ratios"]


def test_two_workers_have_the_same_trials_as_one(bench):
    loops.two_workers(bench, 2, **SMALL)
    throughput, outside = bench.figures
    assert throughput["value"] == throughput["one_seconds"] / throughput["two_seconds"]
    assert 0 < outside["value"] < 1


def test_cached_folds_are_not_fitted_again(bench):
    orchestration.cached_folds(bench, 3, **SMALL)
    (figure,) = bench.figures
    assert figure["figure"] == "6 cached folds, ms per fold"
    assert figure["value"] > 0


def test_a_night_repeats_no_fit_and_a_warm_start_reuses_folds(bench):
    # The last day of the study is that of a quarter.
    orchestration.nights(bench, 1, data={"start_date": "2023-01-01"}, folds={"n_folds": 2})
    repeated, reused = bench.figures
    assert repeated["reached"]
    assert reused["reached"]


def test_many_trials_are_measured_early_and_late(bench):
    orchestration.many_trials(bench, 40, **SMALL)
    memory, cost = bench.figures
    assert memory["figure"] == "coordinator memory, 8 trials, growth in MB"
    assert cost["value"] == cost["late_ms"] / cost["early_ms"]


def test_a_finished_study_is_answered_without_a_fit(bench, monkeypatch):
    # The flow in a process of its own.
    monkeypatch.setattr(bench, "flow", partial(Bench.flow, bench))
    commands.finished_study(bench, n_trials=1, **SMALL)
    (figure,) = bench.figures
    assert figure["value"] > 0


def test_the_first_fit_begins_before_the_command_ends(bench, monkeypatch):
    def run_here(command, home):
        study = read_study_file(Path(command[command.index("--study") + 1]))
        started = time.time()
        bench.flow(parse_tune_spec(study), home)
        return time.time() - started, ""

    monkeypatch.setattr(bench, "timed", run_here)
    began = time.time()
    commands.first_fit(bench, unmeasured=1, model_name="ridge", **SMALL)
    (figure,) = bench.figures
    assert len(figure["each"]) == 1
    assert 0 < figure["value"] < time.time() - began


def test_the_cpu_of_all_processes_is_summed(bench):
    commands.cpu_beside_fits(bench, 1, **SMALL)
    (figure,) = bench.figures
    assert figure["figure"] == "ridge study of 1 trials x 2 folds, CPU seconds beside fits"
    (spent,), (fitting,) = figure["cpu_seconds"], figure["fit_seconds"]
    assert figure["value"] == spent - fitting
    # The command, the process that forks workers, and they.
    assert spent > 1
    assert fitting > 0


def test_a_trained_model_predicts(bench):
    commands.prediction(bench, "ridge", 2, **SMALL)
    (figure,) = bench.figures
    assert figure["figure"] == "predict, ridge, whole process, s"


def test_bars_are_ingested_twice(bench):
    home = bench.folder / "ingest"
    home.mkdir()
    ingest.write_bars(home / "bars.csv", 1, 100)
    ingest.ingested_twice(bench, home, "SQLite", f"sqlite:///{home / 'features.db'}", assets=1, bars_each=100)
    new, replaced = (each["figure"] for each in bench.figures)
    assert new == "ingest 100 bars into SQLite, rows new, s"
    assert replaced == "ingest 100 bars into SQLite, rows replaced, s"


def test_many_studies_are_measured_each(home, prefect_server):
    database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().removeprefix("sqlite+aiosqlite:///"))
    figures = many_studies.many_studies(2, 1, PREFECT_API_URL.value(), database)
    assert figures["studies"] == 2
    # A study has a server's calls, and rows of its own in both databases.
    assert figures["per_study"]["all"]["api_calls"] > 0
    assert figures["studies_db_mb"] > 0


def test_a_coordinator_is_measured_against_its_server(home, capsys):
    scaling.coordinators_of(PREFECT_API_URL.value(), 2, (1,))
    (figures,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    assert figures["coordinators"] == 1
    assert figures["folds_per_second"] > 0


def test_a_worker_says_what_it_takes(tmp_path, capsys):
    scaling.worker(tmp_path, None)
    figures = json.loads(capsys.readouterr().out)
    assert figures["rss_mb"] > figures["of_its_own_mb"] > 0
