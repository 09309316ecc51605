"""Prefect's API for a command that runs a flow in its own process: the one that is named, or a server for it alone."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

from rich.console import Console

from flows.terminal.workers import shown_workers
from kallos.errors import KallosError

# What every command and run of ours has; a variable that is set already stays as it is.
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "kallos",
    # When a run is cut short, loky's tracker cleans up after it, as it should, and need not say so.
    "PYTHONWARNINGS": "ignore:resource_tracker",
}
# For a command that shows progress and errors itself: the run's log keeps the rest, and events that a server does not
# take are no news to who waits for a study.
_QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL"}
# For runs that nobody waits for: without heartbeats a zombie cannot be told from a long night.
_SERVING = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def set_environment(*, serving: bool = False, **given: str | None) -> None:
    """Settle what Prefect and our settings read from the environment, before either is imported."""
    os.environ.update({name: value for name, value in given.items() if value is not None})
    for name, value in {**_ENVIRONMENT, **(_SERVING if serving else _QUIET)}.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_api(console: Console, flow_module: str, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Run the block against the API that Prefect's settings name, or else against a server for this command alone.

    While that starts, the flow's module is imported, and `meanwhile` called. A worker that is lost is a line.
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
        # Log lines that a server does not take are no news, either: Prefect would write so into the midst of ours.
        logging.raiseExceptions = False

        remedy = "start it with 'prefect server start', or unset PREFECT_API_URL to go without"
        with api_must_answer(remedy), shown_workers(console):
            yield


@contextmanager
def api_must_answer(remedy: str) -> Iterator[None]:
    """Turn Prefect's errors of an API that cannot be reached into a `KallosError` with this remedy."""
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
