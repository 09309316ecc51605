"""The address of a Dask scheduler, as a run and the settings name it."""

import re
from typing import Annotated

from pydantic import AfterValidator


def _is_address(address: str) -> str:
    if not re.fullmatch(r"(tcp|tls|ws|wss)://[^\s/]+:\d+", address):
        raise ValueError(f"must be a Dask scheduler's address, such as tcp://host:8786, not {address!r}")
    return address


DaskAddress = Annotated[str, AfterValidator(_is_address)]
