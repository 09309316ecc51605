"""A deployment whose runs this process starts."""

import os
import signal
import sys
from types import FrameType
from typing import Any

import psutil
from prefect.runner import Runner

_END_SECONDS = 15


class Server(Runner):
    """Prefect's runner, which ends its runs and itself within seconds of Ctrl-C or SIGTERM.

    Prefect's own leaves its runs behind on SIGTERM, and waits for them on an interrupt without a terminal.
    """

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Poll for runs until a signal arrives."""
        signal.signal(signal.SIGINT, _end)
        await super().start(run_once, webserver)

    def handle_sigterm(self, *_: Any) -> None:
        """End."""
        _end(signal.SIGTERM, None)


def _end(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.stderr.write("kallos-run: no longer served; the next run continues an interrupted one\n")
    sys.stderr.flush()
    runs = psutil.Process().children()
    under_them = [child for run in runs for child in run.children(recursive=True)]
    for run in runs:
        # On SIGTERM a run reports to the server and ends its own processes.
        run.terminate()
    for late in psutil.wait_procs([*runs, *under_them], timeout=_END_SECONDS)[1]:
        late.kill()
    os._exit(128 + number)
