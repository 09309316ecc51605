"""Database URLs as people write them, and what a database says when it refuses, without its secrets."""

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from kallos.errors import UsageError

# Drivers by which people name the same databases for other programs; ours are SQLite's own and psycopg 3.
_DRIVERS = {"", "pysqlite", "aiosqlite", "psycopg", "psycopg2", "asyncpg", "pg8000"}


def parse_url(db_url: str) -> URL:
    """Return the URL with its driver settled, or raise `UsageError` without showing what it holds."""
    try:
        url = make_url(db_url)
    except (ArgumentError, ValueError):
        raise UsageError(
            "a database URL must look like sqlite:///features.db or postgresql://user:password@host/name"
        ) from None
    backend, _, driver = url.drivername.partition("+")
    ours = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}.get(backend)
    if ours is None or driver not in _DRIVERS:
        raise UsageError("a database must be SQLite or PostgreSQL: sqlite:///features.db or postgresql://host/name")
    return url.set(drivername=ours)


def reason_of(error: BaseException, url: URL) -> str:
    """Return the first line of what a database says, without any password of the URL."""
    # Optuna hides SQLAlchemy's error behind its own, and SQLAlchemy the driver's.
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()
    reason = " ".join(said[:1]) or type(error).__name__
    for secret in (url.password, *(value for key, value in url.query.items() if "password" in key)):
        if secret:
            reason = reason.replace(str(secret), "***")
    return reason
