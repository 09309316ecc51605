"""Reads timestamps of PostgreSQL that Python cannot represent (infinity, BC, beyond the year 9999) as text."""

from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

_TYPES = ("timestamp", "timestamptz", "date")


class MomentLoader(Loader):
    """Reads a timestamp as psycopg does, or as text if psycopg refuses it."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        known = psycopg.adapters.get_loader(oid, Format.TEXT)
        assert known is not None
        self._known = known(oid, context)

    def load(self, data: Buffer) -> Any:
        """Return a `datetime`, a `date`, or text."""
        try:
            return self._known.load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def read_odd_moments(connection: Any) -> None:
    """Let a psycopg connection return such timestamps as text, so that an error can name the row and the value."""
    for name in _TYPES:
        connection.adapters.register_loader(name, MomentLoader)
