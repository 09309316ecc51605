"""What a run may spend, and what costs it nothing."""

import pytest

from kallos.cache import FoldCache
from kallos.scoring.result import FoldResult
from kallos.study.budget import Budget, BudgetSpentError
from kallos.workers.processes import WorkerLostError
from tests.samples import by_parameters, content_of, fold_result, small_job, small_plan


def test_a_stored_result_is_never_refused_and_costs_nothing(tmp_path):
    cache, job = FoldCache(tmp_path / "cache"), small_job(tmp_path)
    first = Budget()
    result = cache.through(first.within(by_parameters))(job)
    spent = Budget(timeout=0, max_fold_fits=0)
    assert content_of(job, cache.through(spent.within(by_parameters))(job)) == content_of(job, result)
    assert (first.fits, spent.fits) == (1, 0)


def test_a_fold_that_is_lost_and_tried_again_is_one_fit(tmp_path):
    budget, jobs = Budget(max_fold_fits=1), small_plan(tmp_path).trial_jobs(0, {"lr": 0.1})
    tries = []

    def lose_at_first(job) -> FoldResult:
        tries.append(job.name)
        if len(tries) < 3:
            raise WorkerLostError("the worker was lost")
        return fold_result(job, 1, epochs=7)

    evaluate = budget.within(lose_at_first)
    for _ in range(2):
        with pytest.raises(WorkerLostError):
            evaluate(jobs[0])
    assert evaluate(jobs[0]).fit.epochs == 7
    assert budget.fits == 1
    with pytest.raises(BudgetSpentError, match="`max_fold_fits` 1 is spent"):
        evaluate(jobs[1])
    assert (budget.fits, len(tries)) == (1, 3)


def test_a_fold_that_waits_for_a_worker_until_the_time_is_over_is_no_fit(tmp_path):
    budget = Budget(max_fold_fits=1)

    def wait(job) -> FoldResult:
        raise BudgetSpentError("`timeout` 1 s is over")

    with pytest.raises(BudgetSpentError):
        budget.within(wait)(small_job(tmp_path))
    assert budget.fits == 0
    budget.end()
    with pytest.raises(BudgetSpentError, match="the study has ended"):
        budget.within(by_parameters)(small_job(tmp_path))
