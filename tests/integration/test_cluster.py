"""Studies on a real Dask scheduler with workers in processes of their own."""

import logging
import os
import re
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import optuna
import pytest
from prefect.client.orchestration import get_client

import flows.places
import flows.tune
from flows.server.diagnosis import check_cluster
from kallos.architectures import lookup
from kallos.cache import FoldCache
from kallos.errors import FitError, StudyError
from kallos.features.store import FeatureStore
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.record import open_record
from kallos.study.result import TuningResult
from kallos.tuner import run_tuning
from kallos.workers.dask import DaskPool, cluster_line
from kallos.workers.processes import WorkerLostError
from tests.integration.dask_cluster import (
    ROOT,
    DaskCluster,
    hang,
    hang_at_the_fifth,
    note_and_score,
    notes,
    wait_until,
    with_a_loss_and_a_late_one,
)
from tests.samples import (
    by_learning_rate,
    by_parameters,
    content_of,
    fold_result,
    make_features,
    small_job,
    small_plan,
    small_spec,
)


@pytest.fixture
def cluster(tmp_path):
    cluster = DaskCluster(tmp_path / "cluster")
    yield cluster
    cluster.close()


def without_times(result: TuningResult) -> TuningResult:
    def timeless(score):
        return score and score.model_copy(update={"seconds": 0.0})

    def of_trial(trial):
        return trial.model_copy(update={"scores": tuple(timeless(score) for score in trial.scores)})

    over = {"best": of_trial(result.best), "trials": tuple(of_trial(trial) for trial in result.trials)}
    return result.model_copy(update={**over, "current_score": timeless(result.current_score)})


def test_a_cluster_that_loses_and_gains_a_worker_computes_what_one_machine_does(tmp_path, cluster):
    plan = small_plan(tmp_path, n_trials=4, training={"max_epochs": 1})
    for _ in range(3):
        cluster.add_worker()

    def kill_one_and_add_one():
        victim = tmp_path / "victim"
        wait_until(lambda: victim.exists() and victim.read_text() != "", cluster.scheduler)
        os.kill(int(victim.read_text()), signal.SIGKILL)
        cluster.add_worker(KALLOS_TEST_LATE="1")

    fate = threading.Thread(target=kill_one_and_add_one)
    fate.start()
    evaluate = partial(with_a_loss_and_a_late_one, tmp_path)
    with DaskPool(cluster.address, retries=1, evaluate=evaluate) as pool:
        on_cluster = run_tuning(plan, evaluate=pool.evaluate, workers=8, has_room=pool.has_room)
    fate.join()
    on_one_machine = run_tuning(plan)
    assert without_times(on_cluster) == without_times(on_one_machine)
    begun = notes(tmp_path)
    assert sorted(Counter(name for name, _ in begun).values()) == [1] * 7 + [2]
    assert len({process for _, process in begun}) == 4


def score_alike(job):
    return fold_result(job, 1.0)


OTHER_BITS = """
import kallos.scoring.fold
theirs = {**kallos.scoring.machine.machine(), "cpu": "OTHER"}
kallos.scoring.machine.machine = lambda: theirs
"""


@pytest.mark.slow
def test_workers_that_would_compute_other_bits_are_refused_and_the_next_one_is_used(tmp_path, cluster):
    job, preload = small_job(tmp_path), tmp_path / "other_bits.py"
    preload.write_text(OTHER_BITS)
    cluster.add_worker(nthreads=2)
    cluster.add_worker("--no-nanny", "--preload", str(preload))
    cluster.wait_for_workers(2)
    settings = Settings(dask_address=cluster.address)
    (finding,) = check_cluster(settings)
    assert finding.state == "bad"
    assert re.search(r"its results would differ: cpu OTHER there, \w+ here", finding.message)
    with DaskPool(cluster.address, evaluate=by_parameters) as pool:
        with pytest.raises(StudyError, match=r"all at tcp.* are refused: ") as refused:
            pool.evaluate(job)
        assert re.search(r"has 2 threads, .*start it with 'dask worker --nthreads 1 --nworkers 2'", str(refused.value))
        assert re.search(r"its results would differ: cpu OTHER there, \w+ here", str(refused.value))
        good = cluster.add_worker()
        cluster.wait_for_workers(3)
        assert content_of(job, pool.evaluate(job)) == content_of(job, by_parameters(job))
        assert re.search("has 1 worker; not used: tcp", pool.line())
        (finding,) = check_cluster(settings)
        assert (finding.state, finding.message) == ("note", pool.line())
        # What has been lost may come back.
        good.kill()
        wait_until(lambda: "has no worker, and the study waits for one; not used" in pool.line(), cluster.scheduler)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(pool.evaluate, job)
            cluster.add_worker()
            assert content_of(job, waiting.result()) == content_of(job, by_parameters(job))


@pytest.mark.slow
def test_a_worker_that_has_loaded_code_before_an_edit_is_refused_behind_it(tmp_path, cluster, monkeypatch):
    recipe = "from dataclasses import replace\nfrom kallos.architectures.lagged import RIDGE\n{}"
    module, own = tmp_path / "edited_recipe.py", "MINE = replace(RIDGE, name='mine', build=lambda *_: {})\n"
    module.write_text(recipe.format(own.format(1)))
    monkeypatch.syspath_prepend(tmp_path)
    cluster.add_worker(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    job = small_job(tmp_path, model_name="edited_recipe:MINE")
    with DaskPool(cluster.address, evaluate=score_alike) as pool:
        pool.evaluate(job)
    module.write_text(recipe.format(own.format(2)))
    # As a new run loads it.
    monkeypatch.delitem(sys.modules, "edited_recipe")
    lookup._referred.cache_clear()
    edited = small_job(tmp_path, model_name="edited_recipe:MINE")
    assert edited.fingerprint != job.fingerprint
    with (
        DaskPool(cluster.address, evaluate=score_alike) as pool,
        pytest.raises(StudyError, match="its Kallos or architecture has other code"),
    ):
        pool.evaluate(edited)


@pytest.mark.slow
def test_a_cluster_that_lacks_kallos_is_told_before_a_study(tmp_path, cluster):
    other = tmp_path / "other" / "kallos"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('no Kallos here')")
    cluster.add_worker(PYTHONPATH=str(other.parent))
    cluster.wait_for_workers(1)
    with pytest.raises(
        StudyError, match=r"all at .* are refused: .* it has no Kallos, or another version: .*no Kallos here"
    ):
        cluster_line(cluster.address)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.start_scheduler(PYTHONPATH=str(other.parent))
    (finding,) = check_cluster(Settings(dask_address=cluster.address))
    assert finding.state == "bad"
    assert re.search(r"scheduler needs the same Kallos as this machine, .* lacks it .no Kallos here", finding.message)


def refuse(job):
    raise FitError(f"{job.name} cannot be fitted")


@pytest.mark.slow
def test_a_worker_that_hangs_ends_itself_and_is_there_again(tmp_path, cluster):
    job = small_job(tmp_path)
    cluster.add_worker("--nanny")
    with DaskPool(cluster.address, evaluate=refuse) as pool, pytest.raises(FitError, match=r"^trial-0-fold-1 cannot"):
        # The study began before its worker; and the worker has imported, now, what takes long.
        pool.evaluate(job)
    given_up = pytest.raises(WorkerLostError, match=r"within `fold_timeout`, and trial-0-fold-1 did not in 0\.3 s")
    with DaskPool(cluster.address, fold_timeout=0.3, evaluate=partial(hang, tmp_path)) as pool, given_up:
        pool.evaluate(job)
    with DaskPool(cluster.address, evaluate=partial(note_and_score, tmp_path)) as pool:
        pool.evaluate(job)
    assert len({process for _, process in notes(tmp_path)}) == 2


def test_a_study_ends_with_its_scheduler_and_is_carried_on_with_the_next(tmp_path, cluster):
    plan, url = small_plan(tmp_path, n_trials=6), f"sqlite:///{tmp_path / 'studies.db'}"
    cache = FoldCache(f"file://{tmp_path}/cache")
    cluster.add_worker()

    def run(evaluate):
        with open_record(url, plan) as record, DaskPool(cluster.address, evaluate=evaluate) as pool:
            cached = cache.through(pool.evaluate)
            return run_tuning(plan, evaluate=cached, workers=8, has_room=pool.has_room, record=record)

    def kill_scheduler():
        wait_until(lambda: len(notes(tmp_path)) >= 5, cluster.scheduler)
        cluster.scheduler.kill()

    fate = threading.Thread(target=kill_scheduler)
    fate.start()
    with pytest.raises(
        StudyError, match=r"scheduler must answer until the study ends.* run the same command to continue"
    ):
        run(partial(hang_at_the_fifth, tmp_path))
    fate.join()
    cluster.scheduler.wait()
    (name,) = optuna.get_all_study_names(url)
    assert "RUNNING" in {trial.state.name for trial in optuna.load_study(study_name=name, storage=url).trials}
    cluster.start_scheduler()
    cluster.add_worker()
    assert run(partial(note_and_score, tmp_path)) == run_tuning(plan, evaluate=by_parameters)
    (again,) = [name for name, begun in Counter(name for name, _ in notes(tmp_path)).items() if begun > 1]
    assert again == notes(tmp_path)[4][0]


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "home")
def test_the_flow_on_a_cluster_shares_a_store_and_shows_its_folds_as_ever(tmp_path, cluster, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("KALLOS_STORE", f"file://{tmp_path}/shared")
    monkeypatch.setenv("KALLOS_DASK_ADDRESS", cluster.address)
    monkeypatch.setattr(flows.places, "DaskPool", partial(DaskPool, evaluate=by_learning_rate))
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features()})
    cluster.add_worker()
    result = flows.tune.tune(small_spec(), RunSpec(executor="dask")).result
    assert result.trials == run_tuning(small_plan(tmp_path), evaluate=by_learning_rate).trials
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"fold-cache", "results", "snapshots"}
    assert len(list((tmp_path / "shared" / "fold-cache").rglob("*.safetensors"))) == 6
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_task_runs()}
    assert {f"trial-{trial}-fold-{fold}" for trial in range(3) for fold in (1, 2)} <= names
    assert f"the Dask cluster at {cluster.address} has 1 worker" in caplog.text
    (finding,) = check_cluster(Settings.read())
    assert (finding.state, finding.message) == ("ok", f"the Dask cluster at {cluster.address} has 1 worker")
