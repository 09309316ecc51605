"""Where fits run: in processes of this machine, or on a cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from kallos.planning import StudyPlan
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.budget import Budget
from kallos.workers.dask import DaskPool
from kallos.workers.processes import FoldPool, physical_cores
from kallos.workers.queue import EvaluateFold
from kallos.workers.scheduler import cluster_address


@dataclass(frozen=True)
class Pools:
    """The processes of this machine, and the cluster if the run uses one."""

    processes: FoldPool
    cluster: DaskPool | None = None

    def evaluate_within(self, budget: Budget) -> EvaluateFold:
        """Return the function that evaluates a fold; on a cluster, no fold begins once the budget is spent."""
        if self.cluster is None:
            return self.processes.evaluate
        return partial(self.cluster.evaluate, may_begin=budget.check)

    def has_room(self) -> bool:
        """Return whether a worker is idle; processes of this machine always count as idle."""
        return self.cluster is None or self.cluster.has_room()

    def folds_at_once(self, run: RunSpec, plan: StudyPlan) -> int:
        """Return how many folds to request at once."""
        if self.cluster is None:
            return run.workers or physical_cores()
        # Workers come and go, so request as many folds as the study can use: they wait for a worker.
        return run.workers or plan.spec.max_pending_trials * len(plan.folds)


@contextmanager
def open_pools(run: RunSpec) -> Iterator[Pools]:
    """Open the pools of a run for the block."""
    with ExitStack() as stack:
        cluster = None
        if run.executor == "dask":
            address = cluster_address(run, Settings.read().dask_address)
            cluster = stack.enter_context(DaskPool(address, fold_timeout=run.fold_timeout))
        yield Pools(stack.enter_context(FoldPool(processes_of(run), fold_timeout=run.fold_timeout)), cluster)


def processes_of(run: RunSpec) -> int:
    """Return the number of processes of this machine that do a run's work; with a cluster, one does what is left."""
    return 1 if run.executor == "dask" else run.workers or physical_cores()


class SharedPools:
    """Pools for studies that run one after the other, opened by the first of them.

    A study that fails closes them, and the next one opens new ones.
    """

    def __init__(self, run: RunSpec) -> None:
        self._run = run
        self._pools: Pools | None = None
        self._ends = ExitStack()
        # A pool logs to the run that shares it, not to the first study.
        self._context = copy_context()

    @contextmanager
    def lent(self) -> Iterator[Pools]:
        """Lend the pools to a study."""
        if self._pools is None:
            self._pools = self._context.run(self._ends.enter_context, open_pools(self._run))
        try:
            yield self._pools
        except BaseException:
            # The scheduler may be lost, or a fold may still be running.
            self.close()
            raise

    def close(self) -> None:
        """Close the open pools."""
        self._pools = None
        self._ends.close()
