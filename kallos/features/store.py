"""The features database: one row per asset and timestamp, in SQLite or PostgreSQL."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pandas as pd
from sqlalchemy import Connection, MetaData, Table, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from kallos.errors import DatabaseError, DataError, UsageError
from kallos.features.chunks import OnRows, frame_of
from kallos.features.databases import parse_url, read_only_engine, reason_of, shown, timed_out, why_read_only_fails
from kallos.features.left_out import read_left_out
from kallos.features.queries import of_asset, table_query, text_query
from kallos.features.rows import asked_dates, by_asset, no_rows_between, tidy
from kallos.features.tables import refuse_missing_schema, schema_and_name
from kallos.features.writing import Written, database_errors, write_features
from kallos.settings import DB_TIMEOUT
from kallos.specs.data import DataSpec
from kallos.words import did_you_mean, shorten


class FeatureStore:
    """A features database, open until it is closed; `with FeatureStore(url) as store:` closes it."""

    def __init__(self, db_url: str, *, timeout: float = DB_TIMEOUT) -> None:
        """Take an SQLAlchemy URL of SQLite or PostgreSQL (`postgresql://` means psycopg 3), or raise `UsageError`.

        Reads use read-only connections, which wait at most `timeout` seconds for an answer.
        """
        self.url = parse_url(db_url)
        self._timeout = timeout
        self._reader = read_only_engine(self.url, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.dispose()

    def __str__(self) -> str:
        return shown(self.url)

    def load(self, spec: DataSpec, on_rows: OnRows | None = None) -> pd.DataFrame:
        """Return the features of one or more assets; see `kallos.datasets.load_features_from_db`."""
        each = {data.only_asset: tidy(self.read(data, on_rows), data) for data in spec.each()}
        return by_asset(each)

    def read(self, spec: DataSpec, on_rows: OnRows | None = None) -> pd.DataFrame:
        """Return one asset's rows in the database's order, with the timestamps as a plain column.

        They may include rows outside of the dates. `on_rows` is called after each chunk with the number of rows so far.
        Raises `DatabaseError` as `load` does, and `DataError` if there are no rows.
        """
        self._refuse_missing_file()
        with self._errors(), self._reader.connect() as connection:
            read = self._rows_of_query if spec.query else self._rows_of_table
            return read(connection, spec, on_rows)

    def left_out(self, spec: DataSpec) -> pd.Series:
        """Return the rule that each row left out by `ingest` breaks, by timestamp; empty for a query."""
        self._refuse_missing_file()
        if spec.query is not None:
            return pd.Series(index=pd.DatetimeIndex([]), dtype=object)
        schema, name = schema_and_name(spec.features_table, self.url.get_backend_name())
        with self._errors(), self._reader.connect() as connection:
            return read_left_out(connection, schema, name, spec.only_asset)

    def assets(self, spec: DataSpec) -> list[str]:
        """Return the sorted names of all assets in the table; raises `UsageError` if it has no asset column."""
        if spec.query is not None or spec.single_asset:
            raise UsageError("all assets ('*') needs a table with an asset column; list the assets instead")
        self._refuse_missing_file()
        with self._errors(), self._reader.connect() as connection:
            asset = self._reflect(connection, spec).c[spec.asset_column]
            return [str(each) for each in connection.scalars(select(asset).distinct().order_by(asset))]

    def write(self, features: Mapping[str, pd.DataFrame], table_name: str = "features") -> list[Written]:
        """Insert or update the rows of each asset; see `kallos.features.writing.write_features`."""
        return write_features(features, self.url.render_as_string(hide_password=False), table_name)

    def _rows_of_table(self, connection: Connection, spec: DataSpec, on_rows: OnRows | None) -> pd.DataFrame:
        table = self._reflect(connection, spec)
        with _in_chunks(connection).execute(table_query(table, spec, connection.dialect.name)) as found:
            rows = frame_of(found, on_rows)
        if rows.empty:
            raise self._nothing_found(connection, table, spec)
        return rows

    def _rows_of_query(self, connection: Connection, spec: DataSpec, on_rows: OnRows | None) -> pd.DataFrame:
        try:
            # A half-read result would keep SQLite's lock.
            with _in_chunks(connection).execute(text_query(spec)) as found:
                _refuse_columns_of_query(list(found.keys()), spec)
                rows = frame_of(found, on_rows)
        except SQLAlchemyError as error:
            if timed_out(error):
                raise
            raise DatabaseError(
                f"the query failed in {self}: {reason_of(error, self.url)}; correct it, it must be one SELECT that "
                f"only reads"
            ) from None
        if rows.empty:
            raise DataError(
                f"the query returned no rows for asset {spec.asset_id!r} {asked_dates(spec)}; check its joins, and how "
                f"it names the asset"
            )
        return _of_one_asset(rows, spec)

    def _reflect(self, connection: Connection, spec: DataSpec) -> Table:
        inspector = inspect(connection)
        schema, name = schema_and_name(spec.features_table, connection.dialect.name)
        refuse_missing_schema(connection, schema, "`features_table`")
        tables = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        if connection.dialect.name == "postgresql":
            # PostgreSQL has more kinds of tables, and takes the name as a bound value.
            known = name if inspector.has_table(name, schema=schema) else None
        else:
            # SQLite ignores case: only its own spelling goes into the statement.
            known = {each.lower(): each for each in tables}.get(name.lower())
        if known is None:
            raise DatabaseError(
                f"table {spec.features_table!r} is not in {self}: {did_you_mean(name, tables)}; "
                f"fill the built-in one with 'kallos-run ingest', or name yours as `features_table`"
            )
        table = Table(known, MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
        _refuse_columns(table, spec)
        return table

    def _nothing_found(self, connection: Connection, table: Table, spec: DataSpec) -> DataError:
        timestamp = table.c[spec.timestamp_column]
        first, last = connection.execute(
            select(func.min(timestamp), func.max(timestamp)).where(of_asset(table, spec))
        ).one()
        if first is not None:
            return no_rows_between(spec, first, last)
        if spec.single_asset:
            return DataError(f"{spec.source} of {self} is empty; fill it, or name another")
        asset = table.c[spec.asset_column]
        assets = connection.scalars(select(asset).distinct().order_by(asset).limit(50)).all()
        return DataError(
            f"asset {spec.asset_id!r} has no rows in {spec.source} of {self}: "
            f"{_a_list(spec) or did_you_mean(spec.only_asset, map(str, assets))}"
        )

    def _refuse_missing_file(self) -> None:
        file = self.url.database
        if self.url.get_backend_name() != "sqlite" or not file or file == ":memory:":
            return
        if not Path(file).exists():
            # SQLite would create an empty file.
            raise DatabaseError(
                f"the features database must exist: there is no file {file}; create it with 'kallos-run ingest', "
                f"or name another as `db_url`"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with database_errors(self.url):
            try:
                yield
            except SQLAlchemyError as error:
                if timed_out(error):
                    raise DatabaseError(
                        f"the features database {self} did not answer within {self._timeout:g} s; index the table on "
                        f"asset and timestamp, request fewer rows, or raise KALLOS_DB_TIMEOUT"
                    ) from None
                if reason := why_read_only_fails(error):
                    raise DatabaseError(f"the features database {self} cannot be read: {reason}") from None
                raise


def _a_list(spec: DataSpec) -> str | None:
    names = [name.strip() for name in spec.only_asset.split(",")]
    return f"several assets are a list in a study file: asset_id = {json.dumps(names)}" if len(names) > 1 else None


def _in_chunks(connection: Connection) -> Connection:
    # Without it, SQLAlchemy cuts SQLite's column names at a dot.
    return connection.execution_options(stream_results=True, sqlite_raw_colnames=True)


def _refuse_columns(table: Table, spec: DataSpec) -> None:
    names = table.columns.keys()
    if spec.timestamp_column not in names:
        raise _no_column(spec.timestamp_column, "timestamp", names, spec)
    if spec.asset_column not in names and not spec.single_asset:
        raise _no_column(spec.asset_column, "asset", names, spec, ", or give `single_asset` if it has only one asset")
    if spec.asset_column in names and spec.single_asset:
        raise UsageError(
            f"a table of a single asset has no asset column, and {spec.source} has {spec.asset_column!r}; leave out "
            f"`single_asset`, or name another column as `asset_column`"
        )


def _refuse_columns_of_query(names: list[str], spec: DataSpec) -> None:
    # SQLite adds a number to the second column of a name.
    plain = [name for name in names if name.rpartition(":")[0] not in names]
    doubled = sorted({name for name in names if name not in plain or plain.count(name) > 1})
    if doubled:
        raise UsageError(
            f"a query must return each column once, and returns {shorten(doubled)} too; list the columns instead of *, "
            f"or use JOIN ... USING (...)"
        )
    if spec.timestamp_column not in names:
        raise _no_column(spec.timestamp_column, "timestamp", names, spec)


def _no_column(column: str, flag: str, names: list[str], spec: DataSpec, otherwise: str = "") -> DatabaseError:
    return DatabaseError(
        f"column {column!r} is not in {spec.source}: {did_you_mean(column, names)}; "
        f"name it as `{flag}_column`{otherwise}"
    )


def _of_one_asset(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Return a query's rows without their asset column, if they have one."""
    if spec.asset_column not in rows.columns:
        return rows
    others = sorted({str(asset) for asset in rows[spec.asset_column].unique()} - {spec.only_asset})
    if others:
        raise DataError(
            f"the query must return only rows of asset {spec.asset_id!r}, and returns some of {shorten(others)}; "
            f"bind the asset, as in WHERE {spec.asset_column} = :asset_id"
        )
    return rows.drop(columns=spec.asset_column)
