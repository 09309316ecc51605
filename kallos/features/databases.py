"""Database URLs as users write them, read-only connections, and error messages without passwords."""

import re
import sqlite3
import time
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from kallos.errors import UsageError
from kallos.storage import refuse_unclear_password
from kallos.words import scrubbed

# SQLAlchemy ends a password at the first @, and reads a query before an @ as a password.
_IN_DATABASES = re.compile(r".*(@|\?.*=)", re.DOTALL)
# A login, a host and a database without a question mark, then a query of keys and values.
_WITH_QUERY = re.compile(
    r"(?P<plain>[a-z][a-z0-9+]*://([^/?#]*@)?[\w.:\[\]-]*/[\w.%-]*)\?"
    r"(?P<query>[a-z_]+=[^&]*(&[a-z_]+=[^&]*)*)",
    re.DOTALL,
)
# What follows a password that only looks like a query: a host with a port or a database.
_HOST = re.compile(r"[\w.\[\]-]*(:\d+$|[:\d]*/)")

# Drivers in URLs written for other programs; Kallos uses Python's sqlite3 and psycopg 3.
_DRIVERS = {"", "pysqlite", "aiosqlite", "psycopg", "psycopg2", "asyncpg", "pg8000"}


def parse_url(db_url: str) -> URL:
    """Return the URL with the driver that Kallos uses, or raise `UsageError` without showing the URL."""
    refuse_unclear_password(_without_query(db_url), _IN_DATABASES, "a database URL")
    try:
        url = make_url(db_url)
    except (ArgumentError, ValueError):
        raise UsageError(
            "a database URL must be like sqlite:///features.db or postgresql://user:password@host/name"
        ) from None
    backend, _, driver = url.drivername.partition("+")
    ours = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}.get(backend)
    if ours is None or driver not in _DRIVERS:
        raise UsageError("a database must be SQLite or PostgreSQL: sqlite:///features.db or postgresql://host/name")
    return url.set(drivername=ours)


def _without_query(url: str) -> str:
    """Return a URL without a query whose values contain an @, or unchanged if the @ may end a password."""
    found = _WITH_QUERY.fullmatch(url)
    if found is None or "@" not in found["query"] or _HOST.match(found["query"].rpartition("@")[2]):
        return url
    from psycopg.pq import Conninfo  # A slow import that few URLs need.

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    keys = {pair.partition("=")[0] for pair in found["query"].split("&")}
    return found["plain"] if keys <= known else url


def shown(url: URL) -> str:
    """Return a database's URL without its password."""
    # The query may hold passwords under several names.
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def reason_of(error: BaseException, url: URL) -> str:
    """Return the first line of a database's error, without any password of the URL."""
    # Optuna wraps SQLAlchemy's error, which wraps the driver's.
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    message = str(error.orig if isinstance(error, DBAPIError) else error)
    given = (value for key, value in url.query.items() if "password" in key)
    # A parameter given twice has a tuple of values.
    for secret in (url.password, *chain.from_iterable((each,) if isinstance(each, str) else each for each in given)):
        if secret:
            message = message.replace(str(secret), "***")
    first = " ".join(message.strip().splitlines()[:1])
    return scrubbed(first or type(error).__name__)


def read_only_engine(url: URL, timeout: float) -> Engine:
    """Return an engine with read-only connections in UTC and `timeout` seconds for each statement.

    In PostgreSQL the timeout holds for each chunk of rows too.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True, creator=lambda: _open_to_read(url.database, timeout))
        event.listen(engine, "before_cursor_execute", lambda connection, *_: _count_down(connection, timeout))
        return engine
    engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": 10})
    event.listen(engine, "connect", lambda connection, _: _make_read_only(connection, timeout))
    return engine


def timed_out(error: BaseException) -> bool:
    """Return whether a statement exceeded the timeout of its read-only engine."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    interrupted = getattr(driver, "sqlite_errorname", None) == "SQLITE_INTERRUPT"
    # PostgreSQL has one code for all cancelled statements.
    return interrupted or (getattr(driver, "sqlstate", None) == "57014" and "statement timeout" in str(driver))


def why_read_only_fails(error: BaseException) -> str | None:
    """Return why a SQLite file cannot be read without writing to its folder, with the remedy, or None."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    match getattr(driver, "sqlite_errorname", None):
        case "SQLITE_READONLY_DIRECTORY" | "SQLITE_READONLY_CANTINIT":
            return (
                "it is in WAL mode, which needs a writable folder; copy it to one, or run "
                "'PRAGMA journal_mode = DELETE' on it"
            )
        case "SQLITE_READONLY_ROLLBACK" | "SQLITE_READONLY_RECOVERY":
            return (
                "a write to it was interrupted and must be rolled back first; write to it again "
                "('kallos-run ingest'), or open it once with sqlite3"
            )
    return None


def _open_to_read(file: str | None, timeout: float) -> sqlite3.Connection:
    address = f"{Path(file).absolute().as_uri()}?mode=ro" if file and file != ":memory:" else ":memory:"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=min(timeout, 30))
    connection.execute("PRAGMA query_only = ON")
    return connection


def _count_down(connection: Any, timeout: float) -> None:
    end = time.monotonic() + timeout
    driver: sqlite3.Connection = connection.connection.dbapi_connection
    driver.set_progress_handler(lambda: time.monotonic() > end, 10_000)


def _make_read_only(connection: Any, timeout: float) -> None:
    from kallos.features.postgres_moments import read_odd_moments

    read_odd_moments(connection)
    milliseconds = max(int(min(timeout * 1000, 2**31 - 1)), 1)
    connection.execute(
        "SELECT set_config('default_transaction_read_only', 'on', false), set_config('TimeZone', 'UTC', false), "
        "set_config('statement_timeout', %s, false)",
        [str(milliseconds)],
    )
    connection.commit()
