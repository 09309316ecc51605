"""What is computed where: processes of this machine, or a cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from kallos.planning import StudyPlan
from kallos.report.forecasts import FoldForecasts, forecast_job
from kallos.scoring.job import FoldJob
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.budget import Budget
from kallos.workers.dask import DaskPool
from kallos.workers.processes import FoldPool, physical_cores
from kallos.workers.queue import ScoreFold
from kallos.workers.scheduler import cluster_address


@dataclass(frozen=True)
class Pools:
    """What fits run in: processes of this machine, and a cluster where the run names one."""

    processes: FoldPool
    cluster: DaskPool | None = None

    def score_within(self, budget: Budget) -> ScoreFold:
        """Return what scores a fold; where that waits for a worker of a cluster, it begins within the budget or not."""
        return self.processes.score if self.cluster is None else partial(self.cluster.score, may_begin=budget.check)

    def forecast(self, job: FoldJob) -> FoldForecasts:
        """Fit a fold once more for the picture of it, on this machine."""
        return self.processes.run(forecast_job, job)

    def has_room(self) -> bool:
        """Return whether a worker is idle; a process of this machine counts as one."""
        return self.cluster is None or self.cluster.has_room()

    def folds_at_once(self, run: RunSpec, plan: StudyPlan) -> int:
        """Return how many folds are asked for at once."""
        if self.cluster is None:
            return run.workers or physical_cores()
        # Workers come and go: the most folds that a study can use at once are asked for, and wait for one.
        return run.workers or plan.spec.max_pending_trials * len(plan.folds)


@contextmanager
def open_pools(run: RunSpec) -> Iterator[Pools]:
    """Yield the pools that a run names, for as long as the block runs."""
    if run.executor == "dask":
        with (
            DaskPool(cluster_address(run, Settings.read().dask_address), fold_timeout=run.fold_timeout) as cluster,
            FoldPool(1, fold_timeout=run.fold_timeout) as processes,
        ):
            yield Pools(processes, cluster)
        return
    with FoldPool(run.workers or physical_cores(), fold_timeout=run.fold_timeout) as processes:
        yield Pools(processes)


class SharedPools:
    """Pools for studies that are carried alike, one after the other: opened for the first, and kept for the next.

    A study that fails ends them, and the next one has its own; the context's end ends the last ones.
    """

    def __init__(self, run: RunSpec) -> None:
        self._run = run
        self._pools: Pools | None = None
        self._ends = ExitStack()
        # What a pool logs of itself belongs to the run that shares it, not to its first study.
        self._context = copy_context()

    @contextmanager
    def lent(self) -> Iterator[Pools]:
        """Yield the pools to a study."""
        if self._pools is None:
            self._pools = self._context.run(self._ends.enter_context, open_pools(self._run))
        try:
            yield self._pools
        except BaseException:
            # A scheduler may be lost, or a fold under way for nobody.
            self.close()
            raise

    def close(self) -> None:
        """End the pools that are open."""
        self._pools = None
        self._ends.close()
