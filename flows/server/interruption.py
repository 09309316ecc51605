"""Interruption: print one line, leave no process behind, and no run in the state Running."""

import base64
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from types import FrameType
from typing import Any, NoReturn

import psutil
from prefect.context import FlowRunContext, SyncClientContext
from prefect.settings import get_current_settings
from rich.console import Console

from flows.wording import in_flags
from kallos.words import scrubbed


@contextmanager
def ending_at_once(console: Console, before: Callable[[], None]) -> Iterator[None]:
    """End the process in seconds on Ctrl-C or SIGTERM, with exit code 130 or 143; call `before` first.

    An exception would not work: Lightning turns KeyboardInterrupt into its own exit, and Prefect waits minutes for a
    server that may be gone. All finished folds are already stored.
    """

    def end(number: int, _: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda again, _: os._exit(128 + again))
        before()
        console.show_cursor(True)
        start_of_line = "\r\x1b[J" if console.is_terminal else ""
        message = "interrupted; finished folds are kept: run the same command again to continue"
        sys.stderr.write(f"{start_of_line}kallos-run: {message}\n")
        sys.stderr.flush()
        try:
            _mark_cancelled()
            children = psutil.Process().children(recursive=True)
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, timeout=2)
        finally:
            os._exit(128 + number)

    handlers = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


def leave_at_once(message: str) -> NoReturn:
    """Print one line and exit with code 1 at once: Prefect would try for minutes to send its last events."""
    sys.stdout.flush()
    sys.stderr.write(f"kallos-run: {in_flags(scrubbed(message))}\n")
    sys.stderr.flush()
    os._exit(1)


def _mark_cancelled() -> None:
    """Mark the run as cancelled if the server answers at once; Prefect's client would try for a minute."""
    run, client = FlowRunContext.get(), SyncClientContext.get()
    if run is None or run.flow_run is None or client is None:
        return
    state = {"type": "CANCELLED", "name": "Cancelled", "message": "interrupted; run it again to continue"}
    api = str(client.client.api_url).rstrip("/")
    run_id, parent = str(run.flow_run.id), run.flow_run.parent_task_run_id
    with suppress(OSError, HTTPException, ValueError, KeyError):
        while True:
            _ask(f"{api}/flow_runs/{run_id}/set_state", {"state": state, "force": True})
            if parent is None:
                return
            # Then mark the run that this one is part of.
            run_id = _ask(f"{api}/task_runs/{parent}")["flow_run_id"]
            parent = _ask(f"{api}/flow_runs/{run_id}")["parent_task_run_id"]


def _ask(url: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        url,
        data=None if content is None else json.dumps(content).encode(),
        headers={"Content-Type": "application/json", **_authorization()},
        method="GET" if content is None else "POST",
    )
    with urllib.request.urlopen(request, timeout=2) as answer:
        described: dict[str, Any] = json.load(answer)
    return described


def _authorization() -> dict[str, str]:
    """Return the authorization header of Prefect's client."""
    api = get_current_settings().api
    if api.key is not None:
        return {"Authorization": f"Bearer {api.key.get_secret_value()}"}
    if api.auth_string is not None:
        encoded = base64.b64encode(api.auth_string.get_secret_value().encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {}
