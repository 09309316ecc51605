"""Workers of a Dask cluster that fits run in: each by itself, so that one which is lost costs its own fold alone."""

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
from types import TracebackType
from typing import Any, Self

from kallos.errors import StudyError, require, require_callable, require_positive, require_whole
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob, FoldScore
from kallos.scoring.machine import differences, machine
from kallos.words import counted, shorten
from kallos.workers.processes import WorkerLostError, trying_again
from kallos.workers.remote import RemoteFold, UnfitForFoldError, UnfitWorkerError
from kallos.workers.scheduler import ANSWER_SECONDS, connect

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0

# What a worker needs code for beside Kallos: an architecture, and a metric.
_Kind = tuple[str, str]


def cluster_line(address: str) -> str:
    """Return in a line which workers a cluster has, and which of them do not do.

    Raises as `DaskPool` does when it is entered, and `StudyError` if all workers are refused already.
    """
    with DaskPool(address) as pool:
        pool.examine()
        pool.refuse_hopeless()
        return pool.line()


class DaskPool:
    """The workers of a Dask cluster, as they come and go, one fold each at a time.

    Each is an executor of its own, as each process is in `FoldPool`: Dask would run a lost fold again by itself, and
    tell nobody. A worker is used if it has one thread and computes what this machine does, which its first fold
    shows; the others are refused with a line in the log. One that lacks an architecture or metric, or has other code
    of it, is refused for the folds of that alone. One that is at a fold for longer than `fold_timeout` seconds ends
    itself. While there is no worker, folds wait. `retries` is how often a lost fold is tried again here.

    Entering it connects: raises `UsageError` if Dask is not installed, `StudyError` if no scheduler answers, or one
    that has no Kallos.
    """

    def __init__(
        self,
        address: str,
        *,
        fold_timeout: float | None = None,
        retries: int = 0,
        evaluate: Callable[[FoldJob], FoldScore] = evaluate_fold,
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
        # Not held while the scheduler is asked: one that is slow to answer would keep all threads waiting.
        self._changed = threading.Condition(threading.Lock())
        self._workers: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._served: set[_Kind] = set()
        self._lost = False
        self._closed = threading.Event()
        self._said = ""
        self._client: Any = None

    def score(self, job: FoldJob, may_begin: Callable[[], None] = lambda: None) -> FoldScore:
        """Evaluate a fold on an idle worker and wait for it.

        `may_begin` is called before a worker is taken, and every second while there is none: what it raises ends the
        wait.

        Raises `WorkerLostError` if the worker is lost or the fold takes too long, `StudyError` if the scheduler is
        lost or all workers that there are are refused, and whatever the evaluation raises.
        """
        return trying_again(partial(self._score_once, may_begin=may_begin), job, self._retries)

    def has_room(self) -> bool:
        """Return whether a worker is idle."""
        with self._changed:
            return bool(self._idle())

    def refuse_hopeless(self) -> None:
        """Raise `StudyError` if all workers that there are are refused."""
        self._refuse_hopeless(None)

    def examine(self) -> bool:
        """Ask all workers what they compute with, refuse those that are unlike this machine, and return if all serve.

        A fold's own look at it comes first in a study, and sees more: the code of Kallos and of the architecture.
        """
        here = machine()
        with self._changed:
            addresses = list(self._workers)
        answers = self._client.run(machine, workers=addresses, on_error="return") if addresses else {}
        with self._changed:
            for address, theirs in answers.items():
                if isinstance(theirs, BaseException):
                    reason = f"it has another Kallos, or none: {type(theirs).__name__}: {theirs}"
                elif unlike := differences(theirs, here, ("there", "here")):
                    reason = f"it computes other bits: {'; '.join(unlike)}"
                else:
                    continue
                if self._workers.pop(address, None):
                    self._refused[address] = reason
            return bool(self._workers) and not self._refused

    def line(self) -> str:
        """Return in a line which workers there are, and why some are not used."""
        with self._changed:
            n_workers = len(self._workers)
            refused = f"; not used: {self._reasons()}" if self._refused else ""
        theirs = counted(n_workers, "worker") if n_workers else "no worker"
        waits = "" if n_workers else ", and the study waits for one"
        return f"the Dask cluster at {self._address} has {theirs}{waits}{refused}"

    def __enter__(self) -> Self:
        self._client = connect(self._address)
        self._look()
        # In a copy of the context, so that the lines reach the log of the run.
        threading.Thread(target=copy_context().run, args=(self._watch,), name="cluster-watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with suppress(OSError, RuntimeError):
            self._client.close(timeout=ANSWER_SECONDS)

    def _score_once(self, job: FoldJob, may_begin: Callable[[], None]) -> FoldScore:
        kind = (job.fit.model_name, job.metric)
        fold = RemoteFold(job, job.fingerprint, machine(), self._fold_timeout, self._evaluate)
        while True:
            worker = self._take(kind, may_begin)
            try:
                score = self._score_on(worker, fold)
                self._served.add(kind)
                return score
            except UnfitWorkerError as why:
                self._refuse(worker, str(why))
            except (UnfitForFoldError, ImportError) as why:
                self._refuse_for(kind, worker, str(why))
            finally:
                self._give_back(worker)

    def _score_on(self, worker: "_Worker", fold: RemoteFold) -> FoldScore:
        begun = time.monotonic()
        try:
            scored: Future[FoldScore] = worker.executor.submit(fold, key=f"{fold.job.name}-{uuid.uuid4().hex}")
            with self._changed:
                worker.scored = scored
                is_gone = worker.address not in self._workers
            if is_gone:
                scored.cancel()
            return scored.result()
        except (CancelledError, RuntimeError) as error:
            if self._is_lost():
                raise self._scheduler_lost() from None
            if not isinstance(error, CancelledError):
                raise
        if self._fold_timeout is not None and time.monotonic() - begun >= self._fold_timeout:
            raise WorkerLostError(
                f"a fold must end within `fold_timeout`, and {fold.job.name} did not in {self._fold_timeout:g} s"
            )
        raise WorkerLostError(
            f"the Dask worker {worker.address} was lost at {fold.job.name}: killed by hand or for want of memory, or "
            f"its machine is gone"
        )

    def _take(self, kind: _Kind, may_begin: Callable[[], None]) -> "_Worker":
        """Wait for an idle worker that may do, and return the one of them that other studies keep least busy."""
        while True:
            load = self._load() if self._await_idle(kind, may_begin) > 1 else _alike
            with self._changed:
                if idle := self._idle(kind):
                    may_begin()
                    worker = min(idle, key=load)
                    worker.is_taken = True
                    return worker

    def _await_idle(self, kind: _Kind, may_begin: Callable[[], None]) -> int:
        """Wait for idle workers that may do, and return how many there are."""
        while True:
            self._refuse_hopeless(kind)
            with self._changed:
                if idle := self._idle(kind):
                    return len(idle)
                if self._lost:
                    raise self._scheduler_lost()
                may_begin()
                self._changed.wait(_LOOK_SECONDS)

    def _idle(self, kind: _Kind | None = None) -> list["_Worker"]:
        return [
            worker
            for worker in self._workers.values()
            if worker.is_running and not worker.is_taken and kind not in worker.unfit_for
        ]

    def _load(self) -> Callable[["_Worker"], int]:
        tasks: Mapping[str, Any] = {}
        with suppress(OSError, RuntimeError):
            tasks = self._client.processing()
        return lambda worker: len(tasks.get(worker.address, ()))

    def _give_back(self, worker: "_Worker") -> None:
        with self._changed:
            worker.is_taken, worker.scored = False, None
            self._changed.notify_all()

    def _refuse(self, worker: "_Worker", reason: str) -> None:
        with self._changed:
            if self._workers.pop(worker.address, None):
                self._refused[worker.address] = reason
                _log.warning("the Dask worker %s is not used: %s", worker.address, reason)
            self._changed.notify_all()

    def _refuse_for(self, kind: _Kind, worker: "_Worker", reason: str) -> None:
        with self._changed:
            worker.unfit_for[kind] = reason
            _log.warning("the Dask worker %s is not used for %s: %s", worker.address, _named(kind), reason)
            self._changed.notify_all()

    def _refuse_hopeless(self, kind: _Kind | None) -> None:
        """Raise `StudyError` if all workers are refused for such folds, and none has served that may come back."""
        with self._changed:
            if not self._is_hopeless(kind):
                return
        self._look()
        with self._changed:
            if self._is_hopeless(kind):
                what = "what this machine does" if kind is None else f"{_named(kind)} as this machine does"
                raise StudyError(
                    f"a Dask cluster must have workers that compute {what}, and all at {self._address} are refused: "
                    f"{self._reasons(kind)}"
                )

    def _is_hopeless(self, kind: _Kind | None) -> bool:
        if self._workers:
            return kind not in self._served and all(kind in worker.unfit_for for worker in self._workers.values())
        return bool(self._refused) and not self._served

    def _reasons(self, kind: _Kind | None = None) -> str:
        unfit = {
            address: worker.unfit_for[kind] for address, worker in self._workers.items() if kind in worker.unfit_for
        }
        return shorten([f"{address}: {reason}" for address, reason in {**self._refused, **unfit}.items()], 2)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS) and not self._lost:
            self._look()

    def _look(self) -> None:
        """See which workers have come and gone; the folds of those that have gone are lost."""
        identities: dict[str, Any] | None = None
        with suppress(OSError, RuntimeError):
            # Not the client's `scheduler_info`: its own thread may put one without workers in its place meanwhile.
            identities = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        lost_folds: list[Future[FoldScore]] = []
        with self._changed:
            if self._closed.is_set():
                return
            if self._client.status != "running":
                self._lost, identities = True, {}
            if identities is None:
                return
            for address in self._workers.keys() - identities.keys():
                gone = self._workers.pop(address)
                if gone.scored is not None:
                    lost_folds.append(gone.scored)
            self._refused = {address: why for address, why in self._refused.items() if address in identities}
            for address, seen in identities.items():
                if address not in self._workers and address not in self._refused:
                    self._welcome(address, seen["nthreads"])
                if address in self._workers:
                    # A paused worker, short of memory, would keep a fold waiting.
                    self._workers[address].is_running = seen["status"] == "running"
            self._changed.notify_all()
        for fold in lost_folds:
            fold.cancel()
        self._say()

    def _welcome(self, address: str, n_threads: int) -> None:
        if n_threads != 1:
            self._refused[address] = (
                f"has {n_threads} threads, and two fits in one process are not reproducible: start it with "
                f"'dask worker --nthreads 1 --nworkers {n_threads}'"
            )
            return
        executor = self._client.get_executor(workers=[address], allow_other_workers=False, pure=False, retries=0)
        self._workers[address] = _Worker(address, executor)

    def _say(self) -> None:
        """Log which workers there are, if that has changed."""
        line = self.line()
        if line != self._said and not self._lost:
            self._said = line
            _log.info("%s", line)

    def _is_lost(self) -> bool:
        return self._lost or self._client.status != "running"

    def _scheduler_lost(self) -> StudyError:
        return StudyError(
            f"the Dask scheduler must answer until a study's end, and {self._address} does not any more: "
            f"finished folds are kept; start 'dask scheduler' and its workers, and the same command carries on"
        )


def _named(kind: _Kind) -> str:
    model_name, metric = kind
    return f"{model_name} by {metric}"


def _alike(_: "_Worker") -> int:
    return 0


@dataclass(eq=False)
class _Worker:
    address: str
    executor: Any
    unfit_for: dict[_Kind | None, str] = field(default_factory=dict)
    scored: "Future[FoldScore] | None" = None
    is_taken: bool = False
    is_running: bool = True
