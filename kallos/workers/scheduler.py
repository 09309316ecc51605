"""The scheduler of a Dask cluster: its address and client."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from kallos.errors import StudyError, UsageError
from kallos.specs.run import RunSpec
from kallos.words import pip_install

ANSWER_SECONDS = 5


def cluster_address(run: RunSpec, from_settings: str | None) -> str:
    """Return the scheduler's address from the run or the settings; raises `UsageError` if both lack it."""
    address = run.dask_address or from_settings
    if address is None:
        raise UsageError(
            "executor 'dask' needs the scheduler's address: set `dask_address` to tcp://HOST:8786, or set "
            "KALLOS_DASK_ADDRESS"
        )
    return address


def connect(address: str) -> Any:
    """Return a client of the scheduler.

    Raises `UsageError` if Dask or its certificates are missing, and `StudyError` if no scheduler answers, or one
    without Kallos.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError(f"executor 'dask' needs Dask, which is not installed: {pip_install('dask')}") from None
    if address.startswith(("tls:", "wss:")):
        _refuse_without_certificates(distributed, address)
    # Kallos logs a lost scheduler in its own line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # Without a scheduler, Dask's client would wait for ever or stay half open.
    reason = _why_no_scheduler(address)
    try:
        if reason is None:
            client = distributed.Client(address, timeout=ANSWER_SECONDS, set_as_default=False, name="kallos")
            _refuse_without_kallos(client, address)
            return client
    except OSError:
        reason = "it has just stopped"
    raise StudyError(
        f"a Dask scheduler must answer at {address}, and {reason}: start 'dask scheduler', or correct the address"
    )


def _why_no_scheduler(address: str) -> str | None:
    """Return why there is no scheduler at an address, or None if one answers."""
    core: Any = import_module("distributed.core")
    security: Any = import_module("distributed").Security()

    async def ask() -> str:
        arguments = security.get_connection_args("client")
        async with asyncio.timeout(ANSWER_SECONDS), core.rpc(address, connection_args=arguments) as server:
            kind: str = (await server.identity())["type"]
            return kind

    # In its own thread, because the caller's may already run an event loop.
    with ThreadPoolExecutor(1) as thread:
        try:
            kind = thread.submit(asyncio.run, ask()).result()
        except Exception:  # Anything may answer at that address.
            return f"none did in {ANSWER_SECONDS} s"
    return None if kind == "Scheduler" else f"a {kind.lower()} did"


def _refuse_without_kallos(client: Any, address: str) -> None:
    # The scheduler unpickles each fold; without Kallos it would fail each one with an error of Dask's.
    try:
        client.run_on_scheduler(import_module, "kallos.workers.remote")
    except ImportError as error:
        client.close(timeout=ANSWER_SECONDS)
        raise StudyError(
            f"a Dask scheduler needs the same Kallos as this machine, and the one at {address} lacks it ({error}): "
            f"install it there, and restart 'dask scheduler'"
        ) from None


def _refuse_without_certificates(distributed: Any, address: str) -> None:
    reason = "none are set"
    try:
        if distributed.Security().get_connection_args("client")["ssl_context"] is not None:
            return
    except OSError as error:
        reason = f"they cannot be read: {error}"
    raise UsageError(
        f"{address} needs Dask's TLS certificates, and {reason}: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
        f"__CLIENT__CERT and __CLIENT__KEY"
    )
