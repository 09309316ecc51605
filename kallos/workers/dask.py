"""The workers of a Dask cluster, which fit folds. A lost worker costs only its own fold."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from kallos.architectures.losses import MSE
from kallos.errors import StudyError, require, require_callable, require_positive, require_whole
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import differences, machine
from kallos.scoring.result import FoldResult
from kallos.words import counted, shorten
from kallos.workers.processes import WorkerLostError, trying_again
from kallos.workers.remote import RemoteFold, UnfitForFoldError, UnfitWorkerError
from kallos.workers.scheduler import ANSWER_SECONDS, connect

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


def cluster_line(address: str) -> str:
    """Return a line about a cluster's usable and refused workers.

    Raises as entering `DaskPool` does, and `StudyError` if all workers are refused.
    """
    with DaskPool(address) as pool:
        pool.examine()
        pool.refuse_hopeless()
        return pool.line()


class DaskPool:
    """The current workers of a Dask cluster, which fit one fold each at a time.

    Each worker has its own executor, as in `FoldPool`, because Dask would silently run lost folds again. A worker is
    used if it has one thread and computes the same as this machine, which its first fold shows; otherwise it is refused
    and logged. A worker with a missing or different architecture is refused only for its folds. A worker whose fold
    takes longer than `fold_timeout` seconds ends itself. Folds wait while there is no worker. `retries` is the number
    of retries for a lost fold.

    Entering it connects; raises `UsageError` if Dask is not installed, and `StudyError` if no scheduler answers, or one
    without Kallos.
    """

    def __init__(
        self,
        address: str,
        *,
        fold_timeout: float | None = None,
        retries: int = 0,
        evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    ) -> None:
        require(str, address=address)
        require_whole(0, retries=retries)
        if fold_timeout is not None:
            require_positive(fold_timeout=fold_timeout)
        require_callable(evaluate=evaluate)
        self._address = address
        self._fold_timeout = fold_timeout
        self._retries = retries
        self._evaluate = evaluate
        # Released while asking the scheduler, because a slow answer would block all threads.
        self._changed = threading.Condition(threading.Lock())
        self._workers: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._served: set[str] = set()
        self._lost = False
        self._closed = threading.Event()
        self._said = ""
        self._client: Any = None

    def evaluate(self, job: FoldJob, may_begin: Callable[[], None] = lambda: None) -> FoldResult:
        """Evaluate a fold on an idle worker and wait for it.

        `may_begin` is called before a worker is taken, and every second while there is none; its errors end the wait.
        Raises `WorkerLostError` if the worker is lost or the fold takes too long, `StudyError` if the scheduler is lost
        or all workers are refused, and the evaluation's errors.
        """
        return trying_again(partial(self._evaluate_once, may_begin=may_begin), job, self._retries)

    def has_room(self) -> bool:
        """Return whether a worker is idle."""
        with self._changed:
            return bool(self._idle())

    def examine(self) -> bool:
        """Refuse the workers whose libraries or processors differ from this machine's, and return whether all serve.

        In a study each worker's first fold checks this and more: the code of Kallos and the architecture.
        """
        here = machine()
        with self._changed:
            addresses = list(self._workers)
        answers = self._client.run(machine, workers=addresses, on_error="return") if addresses else {}
        with self._changed:
            for address, theirs in answers.items():
                if isinstance(theirs, BaseException):
                    reason = f"it has no Kallos, or another version: {type(theirs).__name__}: {theirs}"
                elif unlike := differences(theirs, here, ("there", "here")):
                    reason = f"its results would differ: {'; '.join(unlike)}"
                else:
                    continue
                if self._workers.pop(address, None):
                    self._refused[address] = reason
            return bool(self._workers) and not self._refused

    def line(self) -> str:
        """Return a line about the workers, and why some are not used."""
        with self._changed:
            n_workers = len(self._workers)
            refused = f"; not used: {self._reasons()}" if self._refused else ""
        theirs = counted(n_workers, "worker") if n_workers else "no worker, and the study waits for one"
        return f"the Dask cluster at {self._address} has {theirs}{refused}"

    def __enter__(self) -> Self:
        self._client = connect(self._address)
        self._look()
        # In a copy of the context, so that its lines reach the run's log.
        threading.Thread(target=copy_context().run, args=(self._watch,), name="cluster-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with suppress(OSError, RuntimeError):
            self._client.close(timeout=ANSWER_SECONDS)

    def _evaluate_once(self, job: FoldJob, may_begin: Callable[[], None]) -> FoldResult:
        loss = job.fit.training.loss
        # What a worker needs code for besides Kallos.
        architecture = job.fit.model_name + ("" if loss == MSE else f" on {loss}")
        fold = RemoteFold(job, job.fingerprint, machine(), self._fold_timeout, self._evaluate)
        while True:
            worker = self._take(architecture, may_begin)
            try:
                result = self._evaluate_on(worker, fold)
                self._served.add(architecture)
                return result
            except UnfitWorkerError as why:
                self._refuse(worker, str(why))
            except (UnfitForFoldError, ImportError) as why:
                self._refuse(worker, str(why), architecture)
            finally:
                with self._changed:
                    worker.is_taken, worker.evaluated = False, None
                    self._changed.notify_all()

    def _evaluate_on(self, worker: "_Worker", fold: RemoteFold) -> FoldResult:
        begun = time.monotonic()
        try:
            evaluated: Future[FoldResult] = worker.executor.submit(fold, key=f"{fold.job.name}-{uuid.uuid4().hex}")
            with self._changed:
                worker.evaluated = evaluated
                is_gone = worker.address not in self._workers
            if is_gone:
                evaluated.cancel()
            return evaluated.result()
        except (CancelledError, RuntimeError) as error:
            if self._lost or self._client.status != "running":
                raise self._scheduler_lost() from None
            if not isinstance(error, CancelledError):
                raise
        if self._fold_timeout is not None and time.monotonic() - begun >= self._fold_timeout:
            raise WorkerLostError(
                f"a fold must end within `fold_timeout`, and {fold.job.name} did not in {self._fold_timeout:g} s"
            )
        raise WorkerLostError(
            f"the Dask worker {worker.address} was lost at {fold.job.name}: it was killed, ran out of memory, or its "
            f"machine is down"
        )

    def _take(self, architecture: str, may_begin: Callable[[], None]) -> "_Worker":
        """Wait for an idle worker for such folds, and return the one that other studies use least."""
        while True:
            load = self._load() if self._await_idle(architecture, may_begin) > 1 else None
            with self._changed:
                if idle := self._idle(architecture):
                    may_begin()
                    worker = min(idle, key=load) if load else idle[0]
                    worker.is_taken = True
                    return worker

    def _await_idle(self, architecture: str, may_begin: Callable[[], None]) -> int:
        """Wait for idle workers for such folds, and return their number."""
        while True:
            self.refuse_hopeless(architecture)
            with self._changed:
                if idle := self._idle(architecture):
                    return len(idle)
                if self._lost:
                    raise self._scheduler_lost()
                may_begin()
                self._changed.wait(_LOOK_SECONDS)

    def _idle(self, architecture: str | None = None) -> list["_Worker"]:
        return [
            worker
            for worker in self._workers.values()
            if worker.is_running and not worker.is_taken and architecture not in worker.unfit_for
        ]

    def _load(self) -> Callable[["_Worker"], int]:
        tasks: Mapping[str, Any] = {}
        with suppress(OSError, RuntimeError):
            tasks = self._client.processing()
        return lambda worker: len(tasks.get(worker.address, ()))

    def _refuse(self, worker: "_Worker", reason: str, architecture: str | None = None) -> None:
        """Refuse a worker for all folds, or only for those of an architecture."""
        with self._changed:
            if architecture is not None:
                worker.unfit_for[architecture] = reason
            elif self._workers.pop(worker.address, None):
                self._refused[worker.address] = reason
            else:
                return
        folds = "" if architecture is None else f" for {architecture}"
        _log.warning("the Dask worker %s is not used%s: %s", worker.address, folds, reason)

    def refuse_hopeless(self, architecture: str | None = None) -> None:
        """Raise `StudyError` if all workers are refused for such folds, and none that has served may come back."""
        with self._changed:
            if not self._is_hopeless(architecture):
                return
        self._look()
        with self._changed:
            if self._is_hopeless(architecture):
                what = "the same" if architecture is None else f"{architecture} the same"
                raise StudyError(
                    f"a Dask cluster needs workers that compute {what} as this machine, and all at {self._address} are "
                    f"refused: {self._reasons(architecture)}"
                )

    def _is_hopeless(self, architecture: str | None) -> bool:
        if self._workers:
            return architecture not in self._served and all(
                architecture in worker.unfit_for for worker in self._workers.values()
            )
        return bool(self._refused) and not self._served

    def _reasons(self, architecture: str | None = None) -> str:
        unfit = {
            address: worker.unfit_for[architecture]
            for address, worker in self._workers.items()
            if architecture in worker.unfit_for
        }
        return shorten([f"{address}: {reason}" for address, reason in {**self._refused, **unfit}.items()], 2)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS) and not self._lost:
            self._look()

    def _look(self) -> None:
        """Update the workers that have come and gone; the folds of those that have gone are lost."""
        identities: dict[str, Any] | None = None
        with suppress(OSError, RuntimeError):
            # Not the client's `scheduler_info`, which its thread may replace by one without workers.
            identities = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        lost_folds: list[Future[FoldResult]] = []
        with self._changed:
            if self._closed.is_set():
                return
            if self._client.status != "running":
                self._lost, identities = True, {}
            if identities is None:
                return
            for address in self._workers.keys() - identities.keys():
                gone = self._workers.pop(address)
                if gone.evaluated is not None:
                    lost_folds.append(gone.evaluated)
            self._refused = {address: why for address, why in self._refused.items() if address in identities}
            for address, seen in identities.items():
                if address not in self._workers and address not in self._refused:
                    self._welcome(address, seen["nthreads"])
                if address in self._workers:
                    # A worker that is paused for lack of memory would keep a fold waiting.
                    self._workers[address].is_running = seen["status"] == "running"
            self._changed.notify_all()
        for fold in lost_folds:
            fold.cancel()
        line = self.line()
        if line != self._said and not self._lost:
            self._said = line
            _log.info("%s", line)

    def _welcome(self, address: str, n_threads: int) -> None:
        if n_threads != 1:
            self._refused[address] = (
                f"it has {n_threads} threads, and concurrent fits in one process are not reproducible: start it with "
                f"'dask worker --nthreads 1 --nworkers {n_threads}'"
            )
            return
        executor = self._client.get_executor(workers=[address], allow_other_workers=False, pure=False, retries=0)
        self._workers[address] = _Worker(address, executor)

    def _scheduler_lost(self) -> StudyError:
        return StudyError(
            f"the Dask scheduler must answer until the study ends, and {self._address} no longer does; finished folds "
            f"are kept: start 'dask scheduler' and its workers, then run the same command to continue"
        )


@dataclass(eq=False)
class _Worker:
    address: str
    executor: Any
    unfit_for: dict[str | None, str] = field(default_factory=dict)
    evaluated: "Future[FoldResult] | None" = None
    is_taken: bool = False
    is_running: bool = True
