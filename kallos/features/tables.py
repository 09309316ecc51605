"""Checks that a features table can take rows and give them back unchanged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, DateTime, Float, String, Table, inspect
from sqlalchemy.types import Double

from kallos.errors import DatabaseError, UsageError
from kallos.words import did_you_mean, shorten

KEYS = ("asset_id", "timestamp")
# https://www.postgresql.org/docs/current/limits.html, https://www.sqlite.org/limits.html
_MOST_COLUMNS = {"postgresql": 1600, "sqlite": 2000}
_LONGEST_NAME = 63
_LONGEST_ROW = 8160


def refuse_unfit_names(table_name: str, columns: Sequence[str], backend: str) -> None:
    """Refuse names, and numbers of columns, that the database does not support, before connecting to it."""
    shown_backend = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[backend]
    most = _MOST_COLUMNS[backend]
    if len(columns) + len(KEYS) > most:
        raise DatabaseError(
            f"a {shown_backend} table has at most {most} columns: {len(columns)} features, {' and '.join(KEYS)} "
            f"are {len(columns) + len(KEYS)}; write fewer"
        )
    _, bare = schema_and_name(table_name, backend)
    for what, name in (("table", bare), *(("column", name) for name in columns)):
        if not name or "\0" in name:
            raise UsageError(f"a {what} must have a name without NUL characters, not {name!r}; rename it")
        if backend == "postgresql" and len(name.encode()) > _LONGEST_NAME:
            raise UsageError(
                f"names in PostgreSQL have at most {_LONGEST_NAME} bytes: {what} {name!r} has {len(name.encode())}; "
                f"rename it"
            )
    folded: set[str] = {*KEYS}
    for name in columns:
        if name.lower() in folded:
            raise UsageError(
                f"column names must be unique regardless of case, and must not be {' or '.join(KEYS)}: rename {name!r}"
            )
        folded.add(name.lower())
    if backend == "sqlite" and bare.lower().startswith("sqlite_"):
        raise UsageError(f"SQLite reserves names that begin with sqlite_: rename table {bare!r}")


def refuse_wide_rows(features: Mapping[str, pd.DataFrame], n_columns: int) -> None:
    """Refuse rows that do not fit into a page of PostgreSQL."""
    bitmap = -(-(n_columns + len(KEYS)) // 8)
    for asset_id, frame in features.items():
        numbers = frame.notna().sum(axis=1).to_numpy()
        # Rows without a NULL have no null bitmap.
        header = 8 * np.ceil((23 + np.where(numbers < n_columns, bitmap, 0)) / 8)
        keys = 8 * -(-(len(asset_id.encode()) + 4) // 8) + 8
        size = int((header + keys + 8 * numbers).max())
        if size > _LONGEST_ROW:
            raise DatabaseError(
                f"a PostgreSQL row holds at most {_LONGEST_ROW} bytes: a row of asset {asset_id!r} with "
                f"{numbers.max()} numbers takes {size}; write fewer features, or use SQLite"
            )


def refuse_unfit_table(connection: Connection, table: Table, shown_name: str) -> None:
    """Refuse a table that lacks columns or a key, or whose types would change the values."""
    inspector = inspect(connection)
    existing = {column["name"]: column["type"] for column in inspector.get_columns(table.name, schema=table.schema)}
    missing = [column.name for column in table.columns if column.name not in existing]
    if missing:
        raise DatabaseError(
            f"table {shown_name!r} must have a column for each feature, and lacks {shorten(missing)}; "
            f"rename the table, or choose another database"
        )
    is_sqlite = connection.dialect.name == "sqlite"
    wanted: dict[str, tuple[Any, str]] = {
        "asset_id": (String, "text"),
        "timestamp": (DateTime, "timestamp without time zone"),
    }
    for column in table.columns:
        kind, words = wanted.get(column.name, (Float if is_sqlite else Double, "double precision"))
        found = existing[column.name]
        if not isinstance(found, kind) or getattr(found, "timezone", False):
            raise DatabaseError(
                f"column {column.name!r} of table {shown_name!r} must be {words} to keep the values unchanged, "
                f"not {found}; choose another `features_table`"
            )
    unique: list[Any] = [
        inspector.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"],
        *(each["column_names"] for each in inspector.get_unique_constraints(table.name, schema=table.schema)),
        *(
            each["column_names"]
            for each in inspector.get_indexes(table.name, schema=table.schema)
            if each["unique"] and not each.get("dialect_options", {}).get(f"{connection.dialect.name}_where")
        ),
    ]
    if not any(set(names) == set(KEYS) for names in unique):
        raise DatabaseError(
            f"table {shown_name!r} must have a unique key on {' and '.join(KEYS)} so that rows can be replaced; add "
            f"one, or choose another `features_table`"
        )


def refuse_missing_schema(connection: Connection, schema: str | None, flag: str) -> None:
    """Raise `DatabaseError` if the schema does not exist; `flag` is the one that named it."""
    inspector = inspect(connection)
    if schema is None or inspector.has_schema(schema):
        return
    known = [name for name in inspector.get_schema_names() if name != "information_schema"]
    raise DatabaseError(
        f"schema {schema!r} does not exist: {did_you_mean(schema, known)}; PostgreSQL lower-cases names created "
        f"without quotes; name another in {flag}, or create it"
    )


def schema_and_name(table_name: str, backend: str) -> tuple[str | None, str]:
    """Split `schema.table` for PostgreSQL; SQLite has no schemas."""
    schema, _, name = table_name.rpartition(".") if backend == "postgresql" else ("", "", table_name)
    return schema or None, name
