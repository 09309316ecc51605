"""What an operator runs, in processes of their own: a Prefect server, workers, and both command lines."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
POOL = "kallos"


class PrefectMachine:
    """A machine with an empty home, and a server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.home, self.results = folder, folder / "kallos", folder / "results"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KALLOS_", "PREFECT_"))}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "KALLOS_HOME": str(self.home),
            "KALLOS_RESULTS": str(self.results),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # As deployments/README.md has it: slots of deployments outlive a restart of the server.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "DO_NOT_TRACK": "1",
            "COLUMNS": "200",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None

    def start_server(self) -> None:
        """Start the server, on the same port and database each time, and wait until it answers."""
        self._server = self.start("prefect", "server", "start", "--port", str(self._port), log="server")
        self.wait_until(self._is_healthy, 120)

    def stop_server(self) -> None:
        """End the server as a machine that goes down does."""
        assert self._server is not None
        self._end(self._server)

    def start_worker(self, pool: str = POOL, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker, and wait until the server knows of it."""
        worker = self.start(
            "prefect", "worker", "start", "--pool", pool, "--type", "process", log=f"worker-{pool}", **environment
        )
        self.wait_until(lambda: self.post(f"work_pools/{pool}/workers/filter") != [], 60)
        return worker

    def start(self, *command: str, log: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a command of this Python's, what it says in a log file of the folder."""
        with (self.folder / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                [Path(sys.executable).with_name(command[0]), *command[1:]],
                env={**self.environment, **environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of this Python's to its end."""
        return subprocess.run(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            env={**self.environment, **environment},
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def post(self, path: str, **body: Any) -> Any:
        """Ask the server's API."""
        answer = httpx.post(f"{self.environment['PREFECT_API_URL']}/{path}", json=body, timeout=30)
        return answer.raise_for_status().json()

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """A flow run as the server has it."""
        (run,) = self.post("flow_runs/filter", flow_runs={"id": {"any_": [flow_run_id]}})
        return run

    def logs(self, flow_run_id: str) -> list[str]:
        """All lines of a run's log, tasks' included."""
        lines: list[str] = []
        of_run = {"flow_run_id": {"any_": [flow_run_id]}}
        while page := self.post("logs/filter", logs=of_run, offset=len(lines), limit=200, sort="TIMESTAMP_ASC"):
            lines += [line["message"] for line in page]
        return lines

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Ask again and again; raises with what the processes said if it takes too long."""
        give_up = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > give_up:
                said = {path.name: path.read_text()[-3000:] for path in self.folder.glob("*.log")}
                raise AssertionError("\n".join(f"{name}:\n{text}" for name, text in said.items()))
            time.sleep(0.2)

    def close(self) -> None:
        """End all that was started, and all that those started."""
        for process in reversed(self._processes):
            self._end(process)

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is not None:
            return
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=10)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.environment['PREFECT_API_URL']}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False
