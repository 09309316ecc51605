"""A fold as another process gets it: refused where it would come out otherwise.

A worker of a cluster ends itself where it hangs.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kallos.features.snapshots import read_snapshot
from kallos.scoring.job import FoldJob, FoldScore
from kallos.scoring.machine import differences, machine

Done = TypeVar("Done")


class UnfitWorkerError(Exception):
    """A worker would compute other bits than this machine, whatever it fits; the message says why."""


class UnfitForFoldError(Exception):
    """A worker lacks the code that a fold needs, or has another one, and others it may fit; the message says why."""


@dataclass(frozen=True, repr=False)
class RemoteFold:
    """What a worker is asked: a job, and what this machine makes of it.

    Dask writes it into a worker's log where it fails, and a snapshot's address may hold a password: only the name is
    shown.
    """

    job: FoldJob
    fingerprint: str
    machine: Mapping[str, Any]
    timeout: float | None
    evaluate: Callable[[FoldJob], FoldScore]

    def __call__(self) -> FoldScore:
        with _leaving_after(self.timeout):
            _refuse_other_bits(self.job, self.fingerprint, self.machine)
            try:
                read_snapshot(self.job.snapshot)
            except OSError as error:
                raise OSError(
                    f"{error}; the workers of a cluster read it too: let KALLOS_STORE be a folder or URL that all see"
                ) from None
            return self.evaluate(self.job)

    def __repr__(self) -> str:
        return self.job.name


def with_same_code(work: Callable[[FoldJob], Done], job: FoldJob, fingerprint: str, sender: Mapping[str, Any]) -> Done:
    """Do work on a job in a process that makes of it what its sender does, by the sender's fingerprint and machine.

    Raises `UnfitWorkerError` or `UnfitForFoldError` in any other.
    """
    _refuse_other_bits(job, fingerprint, sender)
    return work(job)


def _refuse_other_bits(job: FoldJob, fingerprint: str, sender: Mapping[str, Any]) -> None:
    """Raise if this process has loaded other code or libraries than the one that the job comes from."""
    try:
        theirs = machine()
        # Not the fingerprint that came along with the job.
        mine = replace(job).fingerprint
    except Exception as error:
        raise UnfitForFoldError(
            f"it has another Kallos, or not the architecture or metric: {type(error).__name__}: {error}"
        ) from None
    if unlike := differences(theirs, sender, ("there", "here")):
        raise UnfitWorkerError(f"it computes other bits: {'; '.join(unlike)}")
    if mine != fingerprint:
        raise UnfitForFoldError("it computes other bits: its Kallos, architecture or metric has other code")


@contextmanager
def _leaving_after(seconds: float | None) -> Iterator[None]:
    """End this process if the block takes longer: nothing else ends a thread. Dask's nanny starts another."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
