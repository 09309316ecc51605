"""Fitting a fold in another process, which refuses it if its forecasts would differ."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kallos.features.snapshots import read_snapshot
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import differences, machine
from kallos.scoring.result import FoldResult

Done = TypeVar("Done")


class UnfitWorkerError(Exception):
    """A worker's results would differ from this machine's for every fold; the message says why."""


class UnfitForFoldError(Exception):
    """A worker lacks this fold's code or has other code, but may fit other folds; the message says why."""


@dataclass(frozen=True, repr=False)
class RemoteFold:
    """A job for a worker, with this machine's fingerprint of it.

    Its representation is only the job's name, because Dask logs it if it fails, and a snapshot's address may contain a
    password.
    """

    job: FoldJob
    fingerprint: str
    machine: Mapping[str, Any]
    timeout: float | None
    evaluate: Callable[[FoldJob], FoldResult]

    def __call__(self) -> FoldResult:
        with _leaving_after(self.timeout):
            _refuse_other_bits(self.job, self.fingerprint, self.machine)
            try:
                read_snapshot(self.job.snapshot)
            except OSError as error:
                raise OSError(
                    f"{error}; the cluster's workers read it too: set KALLOS_STORE to a folder or URL that all can read"
                ) from None
            return self.evaluate(self.job)

    def __repr__(self) -> str:
        return self.job.name


def with_same_code(work: Callable[[FoldJob], Done], job: FoldJob, fingerprint: str, sender: Mapping[str, Any]) -> Done:
    """Do work on a job if this process computes the same as its sender, with this fingerprint and machine.

    Raises `UnfitWorkerError` or `UnfitForFoldError` otherwise.
    """
    _refuse_other_bits(job, fingerprint, sender)
    return work(job)


def _refuse_other_bits(job: FoldJob, fingerprint: str, sender: Mapping[str, Any]) -> None:
    """Raise if this process has loaded other code or libraries than the sender of the job."""
    try:
        theirs = machine()
        # A copy, because the job arrives with the sender's cached fingerprint.
        mine = replace(job).fingerprint
    except Exception as error:
        raise UnfitForFoldError(
            f"it has another Kallos, or lacks the architecture: {type(error).__name__}: {error}"
        ) from None
    if unlike := differences(theirs, sender, ("there", "here")):
        raise UnfitWorkerError(f"its results would differ: {'; '.join(unlike)}")
    if mine != fingerprint:
        raise UnfitForFoldError(
            "its results would differ: its Kallos or architecture has other code, or its processor compiles other code"
        )


@contextmanager
def _leaving_after(seconds: float | None) -> Iterator[None]:
    """End this process if the block takes longer, since a thread cannot be ended; Dask's nanny starts another."""
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
