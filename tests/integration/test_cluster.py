"""Studies on a real Dask scheduler with workers in processes of their own."""

import os
import signal
import threading
from collections import Counter
from functools import partial

import pytest

from kallos.cluster import DaskPool
from kallos.results import TuningResult
from kallos.tuner import run_tuning
from tests.integration.dask_cluster import DaskCluster, notes, wait_until, with_a_loss_and_a_late_one
from tests.samples import small_plan


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
    return result.model_copy(update={**over, "open_score": timeless(result.open_score)})


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
        on_cluster = run_tuning(plan, score_fold=pool.score, workers=8, has_room=pool.has_room)
    fate.join()
    on_one_machine = run_tuning(plan)
    assert without_times(on_cluster) == without_times(on_one_machine)
    begun = notes(tmp_path)
    assert sorted(Counter(name for name, _ in begun).values()) == [1] * 7 + [2]
    assert len({process for _, process in begun}) == 4
