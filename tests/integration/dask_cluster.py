"""A Dask scheduler and workers in processes of their own, started as docs/cluster.md says, and folds to give them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from distributed import Client

from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from tests.samples import by_parameters

ROOT = Path(__file__).parents[2]


class DaskCluster:
    """A scheduler on a free port, and its workers; all are ended with it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._port = port
        self._processes: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self, **environment: str) -> None:
        file = self._folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
            "--no-dashboard",
            "--scheduler-file",
            file,
            **environment,
        )
        wait_until(file.exists, self.scheduler)
        self.address: str = json.loads(file.read_text())["address"]
        self._port = int(self.address.rpartition(":")[2])

    def add_worker(self, *flags: str, nthreads: int = 1, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker; its nanny, which would start it again, is left out unless the flags bring it back."""
        return self._start(
            *("worker", self.address, "--nthreads", str(nthreads), "--memory-limit", "0", "--no-dashboard"),
            *("--local-directory", self._folder, *(flags or ("--no-nanny",))),
            **environment,
        )

    def wait_for_workers(self, count: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _start(self, *arguments: str | Path, **environment: str) -> "subprocess.Popen[bytes]":
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, arguments)],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait for a condition for as long as the process lives."""
    while not condition():
        try:
            code = process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the process ended with {code}")


def notes(folder: Path) -> list[tuple[str, int]]:
    """The folds that were begun, in their order, each with the process that it was begun in."""
    file = folder / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(name, int(process)) for name, process in (line.split() for line in lines)]


def note(folder: Path, job: FoldJob) -> None:
    with (folder / "notes").open("a") as file:
        file.write(f"{job.name} {os.getpid()}\n")


def note_and_score(folder: Path, job: FoldJob) -> FoldResult:
    note(folder, job)
    return by_parameters(job)


def hang(folder: Path, job: FoldJob) -> FoldResult:
    note(folder, job)
    time.sleep(600)
    raise AssertionError


def hang_at_the_fifth(folder: Path, job: FoldJob) -> FoldResult:
    return hang(folder, job) if len(notes(folder)) >= 4 else note_and_score(folder, job)


def with_a_loss_and_a_late_one(folder: Path, job: FoldJob) -> FoldResult:
    """Score a job; the third fold hangs, to be killed at, and from the sixth on all wait for a worker that is late."""
    note(folder, job)
    begun = len(notes(folder))
    if begun >= 3 and not (folder / "victim").exists():
        (folder / "victim").write_text(str(os.getpid()))
        time.sleep(600)
    if "KALLOS_TEST_LATE" in os.environ:
        (folder / "late").touch()
    while begun >= 6 and not (folder / "late").exists():
        time.sleep(0.02)
    return evaluate_fold(job)
