"""The features database: one row per asset and timestamp, in SQLite or PostgreSQL."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Engine,
    Float,
    MetaData,
    Numeric,
    Select,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    select,
    type_coerce,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import Integer

from kallos.databases import parse_url, reason_of
from kallos.errors import DatabaseError, DataError, UsageError, did_you_mean, shorten
from kallos.feature_writing import Written, write_features
from kallos.frequency import ROWS, SESSIONS, find_frequency
from kallos.specs import DataSpec

_FIRST_MOMENT, _LAST_MOMENT = datetime(1678, 1, 1), datetime(2262, 1, 1)


class FeatureStore:
    """A features database, open until it is closed; `with FeatureStore(url) as store:` closes it."""

    def __init__(self, db_url: str) -> None:
        """Take an SQLAlchemy URL of SQLite or PostgreSQL (`postgresql://` means psycopg 3).

        Raises `UsageError` for any other.
        """
        self.url = parse_url(db_url)
        self._engine = _engine(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def __str__(self) -> str:
        # The query may hold passwords under several names.
        return self.url.set(drivername=self.url.get_backend_name(), query={}).render_as_string(hide_password=True)

    def load(self, spec: DataSpec) -> pd.DataFrame:
        """Return one asset's features; see `kallos.datasets.load_features_from_db`."""
        return tidy(self.read(spec), spec)

    def read(self, spec: DataSpec) -> pd.DataFrame:
        """Return one asset's rows as the database holds them: in its order, the timestamps a column like any other.

        Rows outside the dates asked for may be among them. Raises `DatabaseError` as `load` does, and `DataError` if
        there are none.
        """
        self._refuse_missing_file()
        with self._errors():
            table = self._reflect(spec)
            with self._engine.connect() as connection:
                found = connection.execute(_query(table, spec, self._engine.dialect.name))
                rows = pd.DataFrame.from_records(found.all(), columns=list(found.keys()), coerce_float=True)
        if rows.empty:
            raise self._nothing_found(table, spec)
        return rows

    def write(self, features: Mapping[str, pd.DataFrame], table_name: str = "features") -> list[Written]:
        """Insert or update the rows of each asset; see `kallos.feature_writing.write_features`."""
        return write_features(features, self.url.render_as_string(hide_password=False), table_name)

    def _reflect(self, spec: DataSpec) -> Table:
        inspector = inspect(self._engine)
        has_schemas = self._engine.dialect.name == "postgresql"
        schema, _, name = spec.features_table.rpartition(".") if has_schemas else ("", "", spec.features_table)
        if not inspector.has_table(name, schema=schema or None):
            tables = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
            raise DatabaseError(
                f"table {spec.features_table!r} is not in {self}: {did_you_mean(name, tables)}; "
                f"fill the built-in one with 'kallos-run ingest', or name yours as --features-table"
            )
        table = Table(name, MetaData(), schema=schema or None, autoload_with=self._engine)
        for flag, column in (("asset", spec.asset_column), ("timestamp", spec.timestamp_column)):
            if column not in table.columns:
                raise DatabaseError(
                    f"column {column!r} is not in table {spec.features_table!r}: "
                    f"{did_you_mean(column, table.columns.keys())}; name it as --{flag}-column"
                )
        return table

    def _nothing_found(self, table: Table, spec: DataSpec) -> DataError:
        asset, stamp = table.c[spec.asset_column], table.c[spec.timestamp_column]
        mine = asset == _asset_value(asset, spec.asset_id)
        with self._errors(), self._engine.connect() as connection:
            first, last = connection.execute(select(func.min(stamp), func.max(stamp)).where(mine)).one()
            if first is not None:
                return _no_rows_between(spec, first, last)
            assets = connection.scalars(select(asset).distinct().order_by(asset).limit(50)).all()
        return DataError(
            f"asset {spec.asset_id!r} has no rows in table {spec.features_table!r} of {self}: "
            f"{did_you_mean(spec.asset_id, map(str, assets))}"
        )

    def _refuse_missing_file(self) -> None:
        file = self.url.database
        if self.url.get_backend_name() != "sqlite" or not file or file == ":memory:":
            return
        if not Path(file).exists():
            # SQLite would make an empty file.
            raise DatabaseError(
                f"the features database must exist: there is no file {file}; fill it with 'kallos-run ingest', "
                f"or name another as --db-url"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise DatabaseError(
                f"the features database must answer, and {self} did not: {reason_of(error, self.url)}; "
                f"check that it runs, and --db-url or KALLOS_DB_URL"
            ) from None


def tidy(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Return rows as `FeatureStore.read` gives them, indexed by unique, sorted stamps between the dates asked for.

    Raises `DataError` for stamps that are missing, doubled, unreadable or off their frequency.
    """
    frame = _indexed(rows, spec)
    start, end = _bounds(spec, has_dates=isinstance(frame.index, pd.DatetimeIndex))
    chosen = frame.loc[start:end]
    if chosen.empty:
        raise _no_rows_between(spec, frame.index[0], frame.index[-1])
    _refuse_doubled(chosen.index, spec)
    return _with_frequency(chosen, spec)


def _no_rows_between(spec: DataSpec, first: Any, last: Any) -> DataError:
    asked = f"from {spec.start_date or 'the first row'} to {spec.end_date or 'the last row'}"
    return DataError(
        f"asset {spec.asset_id!r} has no rows {asked}: its rows in {spec.features_table!r} go from {first} to {last}"
    )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _wait_for_locks)
        return engine
    return create_engine(url, hide_parameters=True, connect_args={"connect_timeout": 10})


def _wait_for_locks(connection: Any, _: object) -> None:
    connection.execute("PRAGMA busy_timeout = 30000")


def _query(table: Table, spec: DataSpec, dialect: str) -> Select[Any]:
    asset, stamp = table.c[spec.asset_column], table.c[spec.timestamp_column]
    others = [column for column in table.columns if column is not asset]
    query = select(*(_plain(column, dialect).label(column.name) for column in others)).where(
        asset == _asset_value(asset, spec.asset_id)
    )
    # SQLite compares timestamps as text of whatever shape they have: there, the dates are left to `load`.
    if dialect == "postgresql" and not isinstance(stamp.type, Integer | String):
        zone = UTC if getattr(stamp.type, "timezone", False) else None
        start, end = _bounds(spec, has_dates=True)
        for bound, is_start in ((start, True), (end, False)):
            if bound is not None:
                moment = bound.to_pydatetime().replace(tzinfo=zone)
                value = bindparam(None, moment, type_=DateTime(timezone=zone is not None))
                query = query.where(stamp >= value if is_start else stamp <= value)
    return query.order_by(stamp)


def _plain(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """Read decimals as floats, and SQLite's dates as the text that they are, whatever it holds."""
    if isinstance(column.type, Numeric):
        return type_coerce(column, Float(53))
    if dialect == "sqlite" and isinstance(column.type, Date | DateTime):
        return type_coerce(column, String)
    return column


def _asset_value(column: Column[Any], asset_id: str) -> Any:
    if not isinstance(column.type, Integer):
        return asset_id
    try:
        value = int(asset_id)
    except ValueError:
        value = None
    if value is None or not -(2**63) <= value < 2**63:
        raise UsageError(f"assets are integers in column {column.name!r}, and {asset_id!r} is none")
    return bindparam(None, value, type_=BigInteger)


def _indexed(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    stamps = rows[spec.timestamp_column]
    if stamps.isna().any():
        raise DataError(
            f"every row must have a timestamp: column {spec.timestamp_column!r} lacks {stamps.isna().sum()}"
        )
    if stamps.dtype.kind in "iu":
        index = pd.Index(stamps.astype(np.int64), name=spec.timestamp_column)
    else:
        try:
            moments = pd.to_datetime(stamps, utc=True, format="ISO8601")
            index = pd.DatetimeIndex(moments, name=spec.timestamp_column).tz_localize(None).as_unit("ns")
        except (ValueError, TypeError) as error:
            raise DataError(
                f"column {spec.timestamp_column!r} must hold timestamps or integers: {str(error).splitlines()[0]}"
            ) from None
    return _numbers(rows.drop(columns=spec.timestamp_column)).set_index(index).sort_index()


def _refuse_doubled(index: pd.Index, spec: DataSpec) -> None:
    doubled = index[index.duplicated()].unique()
    if len(doubled):
        raise DataError(
            f"timestamps must be unique: asset {spec.asset_id!r} has {len(doubled)} more than once "
            f"({shorten(doubled)}) in table {spec.features_table!r}; delete the rows that are wrong"
        )


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn columns that hold nothing at all, which have no type of their own, into missing numbers."""
    empty = [name for name in rows.columns if rows[name].isna().all()]
    return rows.astype(dict.fromkeys(empty, np.float64))


def _bounds(spec: DataSpec, *, has_dates: bool) -> tuple[Any, Any]:
    parse = _moment if has_dates else _whole
    start, end = parse(spec.start_date, "start"), parse(spec.end_date, "end")
    if start is not None and end is not None and start > end:
        raise UsageError(f"--start-date {spec.start_date} must not lie after --end-date {spec.end_date}")
    return start, end


def _moment(text: str | None, which: str) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{which}-date must be an ISO date such as 2023-09-30, not {text!r}") from None
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(UTC).replace(tzinfo=None)
    if which == "end" and _is_date(text):
        parsed = datetime.combine(parsed, time.max)
    # Rows are stamped in nanoseconds, which reach no further.
    return pd.Timestamp(min(max(parsed, _FIRST_MOMENT), _LAST_MOMENT))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _whole(text: str | None, which: str) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise UsageError(
            f"--{which}-date must be an integer, as the rows are indexed by integers, not {text!r}"
        ) from None


def _with_frequency(frame: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    frequency = find_frequency(frame.index, spec.frequency)
    if frequency in (ROWS, SESSIONS):
        return frame
    return frame.set_index(pd.DatetimeIndex(frame.index, freq=frequency))
