"""A temporary Prefect server for one command.

The one that Prefect starts survives a `kill -9` of its parent, gets the terminal's Ctrl-C before the run has reported
its end, and races with others to migrate the same database.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from kallos.errors import KallosError
from kallos.workers.watchdog import leave_with_parent

_START_SECONDS = 120
_END_SECONDS = 5


def start_local_server() -> Callable[[], str]:
    """Start a server that ends with this process, and return a function that waits for its API's URL.

    That function raises `KallosError` if the server does not start.
    """
    from prefect.settings import PREFECT_HOME

    home = Path(PREFECT_HOME.value()).expanduser()
    home.mkdir(parents=True, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    lock = FileLock(home / "kallos-server-start.lock")
    lock.acquire()
    server = subprocess.Popen(
        [sys.executable, "-m", "flows.server.local", str(listener.fileno()), str(os.getpid())],
        env={**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
        pass_fds=[listener.fileno()],
        stdin=subprocess.DEVNULL,
        # Not in the terminal's process group, so that it does not get the Ctrl-C.
        start_new_session=True,
    )
    listener.close()
    # Registered first, so called last, after Prefect has sent its last log lines and events.
    atexit.register(_end, server)

    def answered() -> str:
        try:
            _wait_until_healthy(server, url)
        finally:
            lock.release()
        return url

    return answered


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_until_healthy(server: "subprocess.Popen[bytes]", url: str) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=_START_SECONDS):
                return
        except OSError:
            time.sleep(0.05)
    server.kill()
    server.wait()
    raise KallosError(
        f"Prefect's temporary server must start within {_START_SECONDS} s, and did not: run 'prefect server start'"
    )


def _serve(listener_fd: int, parent: int) -> None:
    leave_with_parent(parent)
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        fd=listener_fd,
        log_level="error",
        lifespan="on",
        # Each task run sends three events, and compressing them takes longer than sending them to the same machine.
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
