"""What is computed where: processes of this machine, or a cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
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
class Place:
    """Where folds are computed, how many are asked for at once, and whether a worker is idle.

    `forecast` fits a fold once more for the picture of it, on this machine.
    """

    score: ScoreFold
    forecast: Callable[[FoldJob], FoldForecasts]
    workers: int
    has_room: Callable[[], bool]
    cluster: DaskPool | None = None

    def within(self, budget: Budget) -> ScoreFold:
        """Return `score`; a fold that waits for a worker of a cluster begins within the budget, or not at all."""
        return self.score if self.cluster is None else partial(self.cluster.score, may_begin=budget.check)


@dataclass(frozen=True)
class Pools:
    """What fits run in: processes of this machine, and a cluster where the run names one."""

    processes: FoldPool
    cluster: DaskPool | None = None

    def place(self, run: RunSpec, plan: StudyPlan) -> Place:
        """Return the place that a study has here."""

        def forecast(job: FoldJob) -> FoldForecasts:
            return self.processes.run(forecast_job, job)

        if self.cluster is None:
            return Place(self.processes.score, forecast, run.workers or physical_cores(), lambda: True)
        # Workers come and go: the most folds that a study can use at once are asked for, and wait for one.
        workers = run.workers or plan.spec.lookahead * len(plan.folds)
        return Place(self.cluster.score, forecast, workers, self.cluster.has_room, self.cluster)


@contextmanager
def _pools_of(run: RunSpec) -> Iterator[Pools]:
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


class _SharedPools:
    """Pools that outlive a study, for the next one of the same run."""

    def __init__(self, run: RunSpec) -> None:
        self._run = run
        self._pools: Pools | None = None
        self._ends = ExitStack()
        # What a pool logs of itself belongs to the run that has opened the block, not to its first study.
        self._context = copy_context()

    @contextmanager
    def lent(self) -> Iterator[Pools]:
        if self._pools is None:
            self._pools = self._context.run(self._ends.enter_context, _pools_of(self._run))
        try:
            yield self._pools
        except BaseException:
            # A scheduler may be lost, or a fold under way for nobody.
            self.end()
            raise

    def end(self) -> None:
        self._pools = None
        self._ends.close()


_shared: ContextVar[_SharedPools | None] = ContextVar("shared_pools", default=None)


@contextmanager
def shared_pools(run: RunSpec) -> Iterator[None]:
    """Let studies in this block, which are carried alike and one after the other, share what the run names.

    A study that fails ends them, and the next one has its own; the block's end ends the last ones.
    """
    shared = _SharedPools(run)
    token = _shared.set(shared)
    try:
        yield
    finally:
        _shared.reset(token)
        shared.end()


@contextmanager
def place_of(run: RunSpec, plan: StudyPlan) -> Iterator[Place]:
    """Yield the place that the run names, for as long as the block runs."""
    shared = _shared.get()
    with _pools_of(run) if shared is None else shared.lent() as pools:
        yield pools.place(run, plan)
