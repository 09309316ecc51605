"""Prefect's API for a command that runs a flow in its own process: the configured one, or a temporary server."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

from rich.console import Console

from flows.terminal.workers import shown_workers
from kallos.errors import KallosError

# Defaults for every command and run; variables that are already set win.
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "kallos",
}
# For commands that show progress and errors themselves: the run's log keeps the rest.
_QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL"}
# For runs in the background: without heartbeats, a dead run looks like a long one.
_SERVING = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def set_environment(*, serving: bool = False, **given: str | None) -> None:
    """Set the environment that Prefect and our settings read, before they are imported."""
    os.environ.update({name: value for name, value in given.items() if value is not None})
    for name, value in {**_ENVIRONMENT, **(_SERVING if serving else _QUIET)}.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_api(console: Console, flow_module: str, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Run the block against the API in Prefect's settings, or else against a temporary server.

    While the server starts, import the flow's module and call `meanwhile`. Print a line if a worker is lost.
    """
    with ExitStack() as stack:
        with console.status("starting Prefect"):
            from prefect.settings import PREFECT_API_URL, temporary_settings

            from flows.server.local import start_local_server

            answered = start_local_server() if not PREFECT_API_URL.value() else None
            import_module(flow_module)
            meanwhile()
            if answered is not None:
                stack.enter_context(temporary_settings({PREFECT_API_URL: answered()}))
        # Otherwise Prefect prints in between our lines that the server did not accept some log lines.
        logging.raiseExceptions = False
        remedy = "start it with 'prefect server start', or unset PREFECT_API_URL to use a temporary server"
        with api_must_answer(remedy), shown_workers(console):
            yield


@contextmanager
def api_must_answer(remedy: str) -> Iterator[None]:
    """Turn Prefect's errors about an unreachable API into a `KallosError` with this remedy."""
    import httpx
    from prefect.settings import PREFECT_API_URL

    refused = f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: {remedy}"
    try:
        yield
    except httpx.TransportError:
        raise KallosError(refused) from None
    except RuntimeError as error:
        if not str(error).startswith(("Failed to reach API", "Timed out while attempting to connect")):
            raise
        raise KallosError(refused) from None
