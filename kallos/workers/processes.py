"""Worker processes on this machine, replaced if they die or hang, and ended with their parent."""

import logging
import queue
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self, TypeVar

from kallos.errors import StudyError, require_callable, require_positive, require_whole
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import machine
from kallos.scoring.result import FoldResult
from kallos.scoring.training import library_of
from kallos.workers.forks import START_SECONDS, Worker, WorkerEndedError, WorkerHangsError
from kallos.workers.remote import UnfitForFoldError, UnfitWorkerError, with_same_code

_log = logging.getLogger(__name__)

Done = TypeVar("Done")

# What is computed, what reads a snapshot, and what scales it.
_OF_EVERY_FOLD = ("kallos.workers.remote", "kallos.scoring.fold", "pyarrow.dataset", "sklearn.decomposition")


class WorkerLostError(OSError):
    """A worker ended before its fold did; a retry may succeed."""


def physical_cores() -> int:
    """Return the number of physical cores that this process may use."""
    from joblib import cpu_count

    return max(1, int(cpu_count(only_physical_cores=True)))


def imports_of(architectures: Iterable[str]) -> list[str]:
    """Return the modules that fits of these architectures import."""
    return [*_OF_EVERY_FOLD, *sorted({library_of(name) for name in architectures})]


def trying_again(work: Callable[[FoldJob], Done], job: FoldJob, retries: int) -> Done:
    """Return the result of a job, with this many retries if its worker is lost."""
    for _ in range(retries):
        try:
            return work(job)
        except WorkerLostError as lost:
            note_another_try(lost)
    return work(job)


def note_another_try(lost: WorkerLostError) -> None:
    """Log that work is tried again because its worker was lost."""
    _log.warning("%s; trying again", lost)


def _started(job: FoldJob) -> Worker:
    """Return a new process for a job's kind of model."""
    try:
        return Worker(imports_of([job.fit.model_name]))
    except WorkerHangsError:
        raise WorkerLostError(
            f"a worker process must start within {START_SECONDS} s, and that of {job.name} did not"
        ) from None


class FoldPool:
    """A fixed number of worker processes, each started with its first fold.

    A process that dies, or hangs for longer than `fold_timeout` seconds, costs only its own fold. `retries` is the
    number of retries for a lost fold. Leaving the context ends the processes; if this process is killed, they end
    themselves within seconds.
    """

    def __init__(
        self,
        workers: int,
        *,
        fold_timeout: float | None = None,
        retries: int = 0,
        evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    ) -> None:
        require_whole(1, workers=workers)
        require_whole(0, retries=retries)
        if fold_timeout is not None:
            require_positive(fold_timeout=fold_timeout)
        require_callable(evaluate=evaluate)
        self._fold_timeout = fold_timeout
        self._retries = retries
        self._evaluate = evaluate
        # None is a process that has yet to be started.
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        for _ in range(workers):
            self._free.put(None)

    def evaluate(self, job: FoldJob) -> FoldResult:
        """Evaluate a fold in the next free process and wait for it.

        Raises `WorkerLostError` if the process dies or the fold takes too long, `StudyError` if the process has loaded
        other code than this one, and the evaluation's errors.
        """
        return self.run(self._evaluate, job)

    def run(self, work: Callable[[FoldJob], Done], job: FoldJob) -> Done:
        """Do any work on a fold in the next free process and wait for it; raises as `evaluate` does."""
        return trying_again(partial(self._run_once, work), job, self._retries)

    def _run_once(self, work: Callable[[FoldJob], Done], job: FoldJob) -> Done:
        worker = self._free.get()
        try:
            worker = worker or _started(job)
            # A process that starts late may load the code as it is then.
            done: Done = worker.run(with_same_code, work, job, job.fingerprint, machine(), timeout=self._fold_timeout)
            return done
        except (UnfitForFoldError, UnfitWorkerError) as why:
            raise StudyError(
                f"code must not change during a run, and a later worker process loaded other code for {job.name}: "
                f"{why}; finished folds are kept: run the same command again to use the current code"
            ) from None
        except WorkerHangsError:
            worker = None
            raise WorkerLostError(
                f"a fold must end within `fold_timeout`, and {job.name} did not in {self._fold_timeout:g} s"
            ) from None
        except WorkerEndedError:
            worker = None
            raise WorkerLostError(
                f"the worker process of {job.name} was killed, perhaps because memory ran out (fewer `workers` need "
                f"less)"
            ) from None
        finally:
            self._free.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._free.empty():
            worker = self._free.get()
            if worker is not None:
                worker.end()
