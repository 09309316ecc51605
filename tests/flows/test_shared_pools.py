"""Studies that follow one another and share what their folds are computed in."""

import logging
import os
from contextlib import nullcontext, suppress
from functools import partial
from types import SimpleNamespace

import psutil
import pytest
from prefect.states import Failed

import flows.places
import flows.tune
from flows.session import session, sharing_pools
from flows.tune import may_pass_later
from flows.watching import is_worth_a_line
from kallos.errors import FitError, StorageError, StudyError
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.specs.run import RunSpec
from kallos.study.budget import Budget, BudgetSpentError
from kallos.workers.processes import FoldPool
from tests.samples import fold_result, small_job, small_plan

ALONE = RunSpec(workers=1)


def process_of(job: FoldJob) -> FoldResult:
    return fold_result(job, 1.0, epochs=os.getpid())


def wait_for_end_of(number: int) -> None:
    """Wait for a process that is being ended; raises `psutil.TimeoutExpired` if it goes on."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(number).wait(5)


@pytest.fixture
def process_of_a_study(tmp_path, monkeypatch):
    """A function that runs a study of one fold, and returns the process that computed it."""
    monkeypatch.setattr(flows.places, "FoldPool", partial(FoldPool, evaluate=process_of))
    job = small_job(tmp_path)

    def process(error: Exception | None = None) -> int:
        with session().pools_of(ALONE) as pools:
            if error is not None:
                raise error
            return pools.evaluate_within(Budget())(job).fit.epochs

    return process


def test_studies_of_one_block_share_their_processes_which_end_with_it(process_of_a_study):
    with sharing_pools(ALONE):
        first = process_of_a_study()
        assert process_of_a_study() == first
        assert psutil.pid_exists(first)
    wait_for_end_of(first)
    assert process_of_a_study() != first


def test_a_study_that_fails_leaves_nothing_to_the_next(process_of_a_study):
    with sharing_pools(ALONE):
        first = process_of_a_study()
        with pytest.raises(StudyError, match="the scheduler is lost"):
            process_of_a_study(StudyError("the scheduler is lost"))
        wait_for_end_of(first)
        assert process_of_a_study() != first


def test_on_a_cluster_as_many_folds_are_asked_for_as_a_study_can_use_and_its_workers_say_if_one_is_idle(
    tmp_path, monkeypatch
):
    addresses, idle = [], iter([True, False])

    def cluster(address: str, **_: object):
        addresses.append(address)
        return nullcontext(SimpleNamespace(evaluate=process_of, has_room=lambda: next(idle)))

    monkeypatch.setattr(flows.places, "DaskPool", cluster)
    plan, run = small_plan(tmp_path), RunSpec(executor="dask", dask_address="tcp://here:8786")
    with sharing_pools(run):
        for expected in (True, False):
            with session().pools_of(run) as pools:
                assert pools.evaluate_within(Budget()).func is process_of
                assert pools.folds_at_once(run, plan) == 4 * 2
                assert pools.has_room() is expected
    assert addresses == ["tcp://here:8786"]


def test_a_fold_that_waits_for_a_cluster_is_asked_for_within_the_budget_and_is_not_tried_again(tmp_path, monkeypatch):
    cluster = SimpleNamespace(evaluate=lambda job, may_begin: may_begin(), has_room=lambda: True)
    monkeypatch.setattr(flows.places, "DaskPool", lambda *_, **__: nullcontext(cluster))
    run = RunSpec(executor="dask", dask_address="tcp://here:8786")
    with (
        session().pools_of(run) as pools,
        pytest.raises(BudgetSpentError, match="`timeout` 0 s is over") as spent,
    ):
        pools.evaluate_within(Budget(timeout=0))(small_job(tmp_path))
    assert not may_pass_later(None, None, Failed(data=spent.value))
    assert not may_pass_later(None, None, Failed(data=FitError("the fold cannot be fitted")))
    assert may_pass_later(None, None, Failed(data=StorageError("a snapshot must be readable")))
    record = logging.makeLogRecord({"task_name": "fold", "msg": f"Finished in state Failed('an exception {spent!r}')"})
    assert not is_worth_a_line(record)
