"""The address of a Dask scheduler, as a run and the settings name it."""

import re

from kallos.errors import scrubbed

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9a-fA-F:.%]+\]|[^\s/@:\[\]]+):\d+")


def check_dask_address(address: str | None) -> str | None:
    """Return the address of a Dask scheduler, or raise `ValueError` if it is none."""
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ValueError(f"must be a Dask scheduler's address, such as tcp://host:8786, not {scrubbed(address)!r}")
    return address
