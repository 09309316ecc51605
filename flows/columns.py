"""The task that measures which columns matter to a study's best trial."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.places import Pools, processes_of
from flows.server.arguments import as_it_is
from flows.watching import RunLogger
from kallos.planning import StudyPlan
from kallos.report.columns import ColumnImportance, Work, columns_line, columns_of_best
from kallos.scoring.job import FoldJob
from kallos.scoring.permutation import PermutedFold
from kallos.specs.run import RunSpec
from kallos.study.budget import Budget, BudgetSpentError
from kallos.study.result import TuningResult


@task(cache_policy=NO_CACHE)
def weigh_columns(
    plan: StudyPlan, result: TuningResult, folder: str, run: RunSpec, pools: Pools, budget: Budget
) -> ColumnImportance:
    """Fit the best trial's folds again, permute each column, and write to the study's folder what that costs."""

    def on_each(work: Work, jobs: Sequence[FoldJob]) -> list[PermutedFold]:
        within = budget.within(partial(pools.processes.run, work))
        # More threads would be admitted by the budget, and then wait for a process.
        with ThreadPoolExecutor(processes_of(run)) as threads:
            try:
                return list(threads.map(within, jobs))
            finally:
                threads.shutdown(cancel_futures=True)

    return columns_of_best(plan, result, folder, on_each=on_each, anew=run.refresh_cache)


def columns_or_why_not(
    plan: StudyPlan,
    result: TuningResult,
    folder: str,
    run: RunSpec,
    pools: Pools,
    budget: Budget,
    logger: RunLogger,
) -> tuple[ColumnImportance | None, str | None]:
    """Return what the columns are worth, or why that is not known; failures are warnings, as the result is written."""
    if not run.column_importance:
        return None, "the run left it out (`column_importance` false)"
    if not run.weighs_columns:
        return None, "a coordinator of a cluster fits nothing: run the finished study again without it"
    try:
        found: ColumnImportance = weigh_columns(plan, result, folder, run, as_it_is(pools), as_it_is(budget))
    except BudgetSpentError as spent:
        return None, str(spent)
    except Exception as error:
        why_none = f"{type(error).__name__}: {error}"
        logger.warning("the report does not say which columns matter: %s", why_none)
        return None, why_none
    logger.info("%s", columns_line(found))
    return found, None
