"""A deployment that this process runs itself, and that ends with it."""

import os
import signal
import sys
from types import FrameType
from typing import Any

import psutil
from prefect.runner import Runner

_END_SECONDS = 15


class Server(Runner):
    """Prefect's runner, which ends within seconds of Ctrl-C or SIGTERM, and its runs before it.

    Prefect's own leaves its runs alone on SIGTERM, and waits for them on an interrupt that comes from no terminal.
    """

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Poll for runs, until a signal comes."""
        signal.signal(signal.SIGINT, _end)
        await super().start(run_once, webserver)

    def handle_sigterm(self, *_: Any) -> None:
        """End."""
        _end(signal.SIGTERM, None)


def _end(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.stderr.write("kallos-run: no longer served; a run that was under way is carried on by the next\n")
    sys.stderr.flush()
    runs = psutil.Process().children()
    under_them = [child for run in runs for child in run.children(recursive=True)]
    for run in runs:
        # A run that is told to end tells the server so, and ends its own processes.
        run.terminate()
    for late in psutil.wait_procs([*runs, *under_them], timeout=_END_SECONDS)[1]:
        late.kill()
    os._exit(128 + number)
