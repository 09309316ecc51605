"""Worker processes, and the queue of folds before them."""

import os
import signal
import threading
import time
from contextvars import ContextVar
from functools import partial

import psutil
import pytest

from kallos.errors import FitError
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.result import FoldResult
from kallos.workers.processes import FoldPool, WorkerLostError, physical_cores
from kallos.workers.queue import FoldQueue
from tests.samples import by_learning_rate, content_of, fold_result, small_job, small_plan


def hang_once(marker, job) -> FoldResult:
    if not marker.exists():
        marker.touch()
        time.sleep(600)
    return by_learning_rate(job)


def hang(job) -> FoldResult:
    time.sleep(600)
    raise AssertionError


def refuse(job) -> FoldResult:
    raise FitError(f"{job.name} cannot be fitted")


def process_of(job) -> FoldResult:
    return fold_result(job, 1.0, epochs=os.getpid())


def test_a_process_computes_the_same_bits(tmp_path):
    job = small_job(tmp_path)
    with FoldPool(1) as pool:
        assert content_of(job, pool.evaluate(job)) == content_of(job, evaluate_fold(job))


def test_a_fold_that_hangs_costs_a_retry(tmp_path):
    with FoldPool(1, fold_timeout=10, retries=1, evaluate=partial(hang_once, tmp_path / "hung")) as pool:
        assert pool.evaluate(small_job(tmp_path)).fit.epochs == 1


def test_a_fold_that_always_hangs_is_given_up(tmp_path):
    given_up = pytest.raises(WorkerLostError, match=r"within `fold_timeout`, and trial-0-fold-1 did not in 0\.2 s")
    with FoldPool(1, fold_timeout=0.2, evaluate=hang) as pool, given_up:
        pool.evaluate(small_job(tmp_path))


def test_a_property_of_the_job_comes_back_as_it_is(tmp_path):
    as_it_is = pytest.raises(FitError, match=r"^trial-0-fold-1 cannot be fitted$")
    with FoldPool(1, retries=3, evaluate=refuse) as pool, as_it_is:
        pool.evaluate(small_job(tmp_path))


def test_a_process_serves_many_folds(tmp_path):
    job = small_job(tmp_path)
    with FoldPool(1, evaluate=process_of) as pool:
        processes = {pool.evaluate(job).fit.epochs for _ in range(3)}
    assert len(processes) == 1
    assert os.getpid() not in processes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_between_two_folds_is_replaced(tmp_path, number):
    job = small_job(tmp_path)
    with FoldPool(1, retries=1, evaluate=process_of) as pool:
        first = pool.evaluate(job).fit.epochs
        worker = psutil.Process(first)
        worker.send_signal(number)
        worker.wait(20)
        assert pool.evaluate(job).fit.epochs != first


def leave_once(marker, job) -> FoldResult:
    if not marker.exists():
        marker.touch()
        raise SystemExit  # What Lightning makes of a SIGTERM in a fit.
    return by_learning_rate(job)


def test_a_fit_that_exits_costs_a_retry(tmp_path):
    with FoldPool(1, retries=1, evaluate=partial(leave_once, tmp_path / "left")) as pool:
        assert pool.evaluate(small_job(tmp_path)).fit.epochs == 1


def test_there_is_a_core_at_least():
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_folds_are_scored_in_the_callers_context(tmp_path):
    # A task of Prefect's finds its parent there.
    parent: ContextVar[str] = ContextVar("parent", default="nobody")
    parent.set("the study")
    seen = []
    plan = small_plan(tmp_path)
    with FoldQueue(lambda job: seen.append(parent.get()) or by_learning_rate(job), 2) as folds:
        folds.open(0, plan.trial_jobs(0, plan.space.defaults(plan.spec.model_name)))
        folds.result(0), folds.result(0)
    assert seen == ["the study", "the study"]


def test_no_thread_runs_ahead_while_a_trial_may_still_be_pruned_or_opened(tmp_path):
    plan = small_plan(tmp_path, folds={"n_folds": 3})
    begun, busy, go_on = [], threading.Event(), threading.Event()

    def score(job):
        begun.append(job.name)
        if job.name == "trial-1-fold-1":
            busy.set()
            assert go_on.wait(20)
        return by_learning_rate(job)

    with FoldQueue(score, 2) as folds:
        for number in (0, 1):
            folds.open(number, plan.trial_jobs(number, plan.space.defaults(plan.spec.model_name)))
        threading.Thread(target=folds.result, args=(1,), daemon=True).start()
        folds.result(0)
        assert busy.wait(20)
        # Trial 0 has its score and has not decided: its second fold is not begun, though a thread is idle.
        assert set(begun) == {"trial-0-fold-1", "trial-1-fold-1"}
        folds.close(0)
        go_on.set()
    assert "trial-0-fold-2" not in begun
