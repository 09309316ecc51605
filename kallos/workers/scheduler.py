"""The scheduler of a Dask cluster: where it is, and a client of it."""

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
    """Return the scheduler's address that a run names, or else the settings do; raises `UsageError` if none does."""
    address = run.dask_address or from_settings
    if address is None:
        raise UsageError(
            "executor 'dask' needs the scheduler's address: give `dask_address` tcp://HOST:8786 or KALLOS_DASK_ADDRESS"
        )
    return address


def connect(address: str) -> Any:
    """Return a client of the scheduler.

    Raises `UsageError` if Dask or its certificates are missing, `StudyError` if no scheduler answers, or one that has
    no Kallos.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError(f"executor 'dask' needs Dask, which is not installed: {pip_install('dask')}") from None
    if address.startswith(("tls:", "wss:")):
        _refuse_without_certificates(distributed, address)
    # What Dask says of a scheduler that it has lost, we say in a line of our own.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # A client that nobody answers, or somebody else, would wait for ever, or be left half made.
    reason = _why_no_scheduler(address)
    try:
        if reason is None:
            client = distributed.Client(address, timeout=ANSWER_SECONDS, set_as_default=False, name="kallos")
            _refuse_without_kallos(client, address)
            return client
    except OSError:
        reason = "it is gone again"
    raise StudyError(
        f"a Dask scheduler must answer at {address}, and {reason}: start it with 'dask scheduler', or correct "
        f"the address"
    )


def _why_no_scheduler(address: str) -> str | None:
    """Return why there is no scheduler at an address, or None if one answers."""
    core: Any = import_module("distributed.core")
    security: Any = import_module("distributed").Security()

    async def ask() -> str:
        async with core.rpc(address, connection_args=security.get_connection_args("client")) as server:
            kind: str = (await server.identity())["type"]
            return kind

    async def ask_in_time() -> str:
        return await asyncio.wait_for(ask(), ANSWER_SECONDS)

    # In a thread of its own, since the caller's may run a loop.
    with ThreadPoolExecutor(1) as thread:
        try:
            kind = thread.submit(asyncio.run, ask_in_time()).result()
        except Exception:  # Whatever answers there, in whatever words.
            return f"none did in {ANSWER_SECONDS} s"
    return None if kind == "Scheduler" else f"there is a {kind.lower()}"


def _refuse_without_kallos(client: Any, address: str) -> None:
    # A scheduler unpacks each fold that it passes on; one that cannot would fail them one by one, in Dask's words.
    try:
        client.run_on_scheduler(import_module, "kallos.workers.remote")
    except ImportError as error:
        client.close(timeout=ANSWER_SECONDS)
        raise StudyError(
            f"a Dask scheduler must have the Kallos of this machine, and that at {address} has not: {error}: install "
            f"it there too, and start 'dask scheduler' again"
        ) from None


def _refuse_without_certificates(distributed: Any, address: str) -> None:
    reason = "there are none"
    try:
        if distributed.Security().get_connection_args("client")["ssl_context"] is not None:
            return
    except OSError as error:
        reason = f"they cannot be read: {error}"
    raise UsageError(
        f"{address} needs Dask's certificates, and {reason}: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
        f"__CLIENT__CERT and __CLIENT__KEY"
    )
