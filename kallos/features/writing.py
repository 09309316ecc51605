"""Writes features to the database in bulk: all rows or none."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv
from sqlalchemy import Column, MetaData, Table, create_engine, event, func, inspect, select, type_coerce
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import DateTime, Float, String

from kallos.errors import DatabaseError, DataError
from kallos.features.databases import parse_url, reason_of, shown
from kallos.features.left_out import note_left_out
from kallos.features.tables import (
    KEYS,
    refuse_missing_schema,
    refuse_unfit_names,
    refuse_unfit_table,
    refuse_wide_rows,
    schema_and_name,
)
from kallos.words import shorten

# Takes the asset, its frame, its first timestamp in the table and the frame's existing ones; returns what to write.
ChooseRows = Callable[[str, pd.DataFrame, pd.Timestamp, pd.DatetimeIndex], pd.DataFrame]
OnConflict = Literal["replace", "skip", "fail"]
_ROWS_AT_ONCE = 20_000
_TIMESTAMP = "2024-01-02 00:00:00.000000"
_OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@dataclass(frozen=True)
class Written:
    """What was written of one asset: `rows - new_rows` rows were replaced, and `kept` rows of the table left alone."""

    asset_id: str
    rows: int
    new_rows: int
    start: pd.Timestamp
    end: pd.Timestamp
    features: int
    kept: int = 0


def write_features(
    features: Mapping[str, pd.DataFrame],
    db_url: str,
    table_name: str = "features",
    *,
    on_conflict: OnConflict = "replace",
    dry_run: bool = False,
    left_out: Mapping[str, pd.Series] | None = None,
    choose: ChooseRows | None = None,
) -> list[Written]:
    """Write the rows of each asset in one transaction, and create the table if needed; return what was written.

    Each frame has unique timestamps (UTC, no zone) and numeric columns, the same in all frames. `on_conflict` says
    whether existing rows are replaced, skipped or refused. A dry run returns what it would write. NaN is stored as
    NULL, and -0.0 as 0.0. The reasons in `left_out` are stored in a table of their own. `choose` picks the rows of
    assets that the table already has. Raises `DatabaseError` if the database refuses or cannot hold the rows, and
    `DataError` for rows that exist and must not.
    """
    url = parse_url(db_url)
    backend = url.get_backend_name()
    columns = [str(name) for name in next(iter(features.values())).columns]
    refuse_unfit_names(table_name, columns, backend)
    if backend == "postgresql":
        refuse_wide_rows(features, len(columns))
    for asset_id, frame in features.items():
        doubled = frame.index[frame.index.duplicated()]
        if len(doubled):
            raise DataError(f"timestamps must be unique: asset {asset_id!r} has {shorten(doubled)} more than once")
    if dry_run and backend == "sqlite" and not (url.database and Path(url.database).exists()):
        return [_written(asset_id, frame, 0, len(frame)) for asset_id, frame in features.items()]
    if not dry_run:
        make_folder(url)
    with database_errors(url), writing_connection(url, writes=not dry_run) as connection:
        schema, name = schema_and_name(table_name, backend)
        refuse_missing_schema(connection, schema, "`features_table`")
        table = Table(
            name,
            MetaData(),
            Column("asset_id", String, primary_key=True),
            Column("timestamp", DateTime, primary_key=True),
            *(Column(name, Float(53)) for name in columns),
            schema=schema,
        )
        is_new = not inspect(connection).has_table(name, schema=schema)
        existing = dict.fromkeys(features, pd.DatetimeIndex([]))
        chosen = dict(features)
        if not is_new:
            refuse_unfit_table(connection, table, table_name)
            if not dry_run and backend == "postgresql":
                _lock(connection, table)
            for asset_id, frame in features.items():
                existing[asset_id] = _existing_timestamps(connection, table, asset_id, frame)
                first = connection.scalar(select(func.min(table.c.timestamp)).where(table.c.asset_id == asset_id))
                if choose is not None and first is not None:
                    chosen[asset_id] = choose(asset_id, frame, pd.Timestamp(first), existing[asset_id])
        elif not dry_run:
            table.create(connection)
        if on_conflict == "fail":
            _refuse_conflicts(existing, table_name, url)
        if not dry_run:
            write = _copy if backend == "postgresql" else _insert
            write(connection, table, chosen, on_conflict, is_new=is_new)
            note_left_out(connection, table, left_out or {})
    return [
        _written(asset_id, chosen[asset_id], int(chosen[asset_id].index.isin(existing[asset_id]).sum()), len(frame))
        for asset_id, frame in features.items()
    ]


def _written(asset_id: str, frame: pd.DataFrame, existing: int, n_rows: int) -> Written:
    rows, index = len(frame), frame.index
    return Written(asset_id, rows, rows - existing, index.min(), index.max(), len(frame.columns), n_rows - rows)


def make_folder(url: URL) -> None:
    """Create the folder of a SQLite file; raises `DatabaseError` if that fails."""
    if url.get_backend_name() == "sqlite" and url.database:
        folder = Path(url.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"the folder of the database must be writable: {folder}: {error.strerror}; choose another `db_url`"
            ) from None


@contextmanager
def writing_connection(url: URL, *, writes: bool) -> Iterator[Connection]:
    """Yield a connection in one transaction, which is committed at the end of the block or rolled back."""
    engine = _engine(url, writes=writes)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _engine(url: URL, *, writes: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args={"connect_timeout": 10})
    engine = create_engine(url, hide_parameters=True, poolclass=NullPool)

    def wait_for_locks(connection: Any, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 30000")

    event.listen(engine, "connect", wait_for_locks)
    # Python's driver would create a table outside of the transaction.
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


@contextmanager
def database_errors(url: URL) -> Iterator[None]:
    """Turn the errors of a database into `DatabaseError`, without its password."""
    try:
        yield
    except _kinds_of_errors() as error:  # Python looks for them only if there is an error.
        raise DatabaseError(
            f"the features database {shown(url)} did not answer: {reason_of(error, url)}; check that it is running, "
            f"and check `db_url` or KALLOS_DB_URL"
        ) from None


def _kinds_of_errors() -> tuple[type[Exception], ...]:
    from psycopg import Error as PostgreSQLError

    return SQLAlchemyError, PostgreSQLError


def _existing_timestamps(connection: Connection, table: Table, asset_id: str, frame: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the timestamps of the frame that the table already has for the asset."""
    asset, timestamp = table.c.asset_id, table.c.timestamp
    if connection.dialect.name == "postgresql":
        first, last = frame.index.min().to_pydatetime(), frame.index.max().to_pydatetime()
        found = connection.scalars(select(timestamp).where(asset == asset_id, timestamp.between(first, last))).all()
        return frame.index[frame.index.isin(pd.DatetimeIndex(found))]
    texts = connection.scalars(select(type_coerce(timestamp, String)).where(asset == asset_id)).all()
    foreign = next((text for text in texts if not _OURS.fullmatch(str(text))), None)
    if foreign is not None:
        # SQLite compares timestamps as text, so the same moment would become a second row.
        raise DatabaseError(
            f"timestamps in SQLite must be text such as {_TIMESTAMP} so that rows can be found again: table "
            f"{table.name!r} has {foreign!r} for asset {asset_id!r}; choose another `features_table`"
        )
    return frame.index[pd.Index(_texts(frame.index), dtype=object).isin(texts)]


def _refuse_conflicts(existing: Mapping[str, pd.DatetimeIndex], table_name: str, url: URL) -> None:
    conflicts = [
        f"{asset_id} at {timestamp}" for asset_id, timestamps in existing.items() for timestamp in timestamps[:6]
    ]
    n_conflicts = sum(map(len, existing.values()))
    if n_conflicts:
        more = f" and {n_conflicts - 5} more" if n_conflicts > 5 else ""
        raise DataError(
            f"rows must not exist already with `on_conflict` fail: table {table_name!r} of {shown(url)} has "
            f"{', '.join(conflicts[:5])}{more}; nothing was written, choose replace or skip"
        )


def _lock(connection: Connection, table: Table) -> None:
    """Keep other writers, but not readers, out until the transaction ends."""
    from psycopg import sql

    statement = sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(_identifier(table))
    _cursor(connection).execute(statement)


def _copy(
    connection: Connection, table: Table, features: Mapping[str, pd.DataFrame], on_conflict: OnConflict, *, is_new: bool
) -> None:
    """Write to PostgreSQL: COPY into a new table, or into a temporary one and from there into the existing one."""
    from psycopg import sql

    cursor = _cursor(connection)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    target = _identifier(table)
    staging = target if is_new else sql.Identifier(f"incoming_{uuid4().hex}")
    if not is_new:
        make = "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA"
        cursor.execute(sql.SQL(make).format(staging, names, target))
    options = arrow_csv.WriteOptions(include_header=False)
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(staging, names)) as copy:
        for asset_id, frame in features.items():
            for start in range(0, len(frame), _ROWS_AT_ONCE):
                text = io.BytesIO()
                arrow_csv.write_csv(_arrow_rows(asset_id, frame.iloc[start : start + _ROWS_AT_ONCE]), text, options)
                copy.write(text.getbuffer())
    if not is_new:
        keys = sql.SQL(", ").join(map(sql.Identifier, KEYS))
        updates = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column.name))
            for column in table.columns
            if column.name not in KEYS
        )
        action = sql.SQL("DO UPDATE SET {}").format(updates) if on_conflict == "replace" else sql.SQL("DO NOTHING")
        insert = "INSERT INTO {0} ({1}) SELECT {1} FROM {2} ON CONFLICT ({3}) {4}"
        cursor.execute(sql.SQL(insert).format(target, names, staging, keys, action))


def _insert(
    connection: Connection, table: Table, features: Mapping[str, pd.DataFrame], on_conflict: OnConflict, *, is_new: bool
) -> None:
    """Write to SQLite."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = [quote(column.name) for column in table.columns]
    keys = ", ".join(map(quote, KEYS))
    updates = ", ".join(f"{name} = excluded.{name}" for name in names[len(KEYS) :])
    conflict = (
        ""
        if is_new
        else f" ON CONFLICT ({keys}) " + (f"DO UPDATE SET {updates}" if on_conflict == "replace" else "DO NOTHING")
    )
    statement = f"INSERT INTO {quote(table.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}){conflict}"
    for asset_id, frame in features.items():
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            rows = frame.iloc[start : start + _ROWS_AT_ONCE]
            numbers = (_numbers(rows, at).tolist() for at in range(len(rows.columns)))
            records = list(zip(repeat(asset_id, len(rows)), _texts(rows.index), *numbers, strict=True))
            connection.exec_driver_sql(statement, records)


def _arrow_rows(asset_id: str, rows: pd.DataFrame) -> pa.Table:
    timestamps = pa.array(rows.index.to_numpy().astype("datetime64[us]"))
    numbers = [pa.array(_numbers(rows, at), from_pandas=True) for at in range(len(rows.columns))]
    columns = [pa.array([asset_id]).take(pa.array(np.zeros(len(rows), np.int64))), timestamps, *numbers]
    return pa.table(columns, names=[str(at) for at in range(len(columns))])


def _numbers(rows: pd.DataFrame, column: int) -> np.ndarray:
    # SQLite does not keep the sign of zero.
    return np.asarray(rows.iloc[:, column].to_numpy(np.float64) + 0.0)


def _texts(index: pd.DatetimeIndex) -> list[str]:
    """Return timestamps as SQLAlchemy stores them in SQLite."""
    return [text.replace("T", " ") for text in np.datetime_as_string(index.to_numpy(), unit="us").tolist()]


def _cursor(connection: Connection) -> Any:
    # psycopg quotes the names here, since SQLAlchemy would double their percent signs.
    return connection.connection.cursor()


def _identifier(table: Table) -> Any:
    from psycopg import sql

    return sql.Identifier(*(part for part in (table.schema, table.name) if part))
