"""Forecasts in a database: a row for each target, step and quantile. Writing them again replaces the rows."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, Column, Connection, DateTime, Float, Integer, MetaData, String, Table, inspect
from sqlalchemy.dialects import postgresql, sqlite

from kallos.errors import DatabaseError
from kallos.features.databases import parse_url
from kallos.features.moments import Timestamp
from kallos.features.tables import refuse_unfit_names, schema_and_name
from kallos.features.writing import database_errors, make_folder, writing_connection
from kallos.models.forecasting import Forecasts


def write_forecasts(forecasts: Forecasts, db_url: str, table_name: str = "forecasts") -> int:
    """Write the forecasts of one origin in one transaction, creating the table if needed; return the number of rows.

    The key is `model_id`, `as_of`, `target`, `step`, `quantile` (0.5 for point forecasts, also where they are means).
    The other columns are `target_time` (NULL if unknown) and `value`. Rows with the same key are replaced. Raises
    `DatabaseError` if the database refuses, or the table has other columns.
    """
    url = parse_url(db_url)
    backend = url.get_backend_name()
    schema, name = schema_and_name(table_name, backend)
    moment: Any = DateTime if isinstance(forecasts.as_of, str) else BigInteger
    table = Table(
        name,
        MetaData(),
        Column("model_id", String, primary_key=True),
        Column("as_of", moment, primary_key=True),
        Column("target", String, primary_key=True),
        Column("step", Integer, primary_key=True, autoincrement=False),
        Column("quantile", Float(53), primary_key=True),
        Column("target_time", moment),
        Column("value", Float(53), nullable=False),
        schema=schema,
    )
    refuse_unfit_names(table_name, [column.name for column in table.columns], backend)
    values = forecasts.quantiles if len(forecasts.levels) > 1 else forecasts.point[..., None]
    rows = [
        {**row, "quantile": level, "value": float(values[step, target, i])}
        for step, target, row in _rows(forecasts)
        for i, level in enumerate(forecasts.levels)
    ]
    make_folder(url)
    with database_errors(url), writing_connection(url, writes=True) as connection:
        if inspect(connection).has_table(name, schema=schema):
            _refuse_other_table(connection, table, table_name)
        else:
            table.create(connection)
        insert: Any = postgresql.insert if backend == "postgresql" else sqlite.insert
        new = insert(table)
        replace = {"target_time": new.excluded.target_time, "value": new.excluded.value}
        connection.execute(new.on_conflict_do_update(index_elements=list(table.primary_key), set_=replace), rows)
    return len(rows)


def forecast_rows(forecasts: Forecasts) -> list[dict[str, Any]]:
    """Return a row for each target and step: model_id, as_of, target, step (from 1), target_time, value.

    The value is what the study's metric scores. If the model forecasts quantiles, a column for each follows, such as
    q0.05.
    """
    levels = forecasts.levels if len(forecasts.levels) > 1 else ()
    return [
        {
            **row,
            "value": float(forecasts.point[step, target]),
            **{f"q{level}": float(forecasts.quantiles[step, target, i]) for i, level in enumerate(levels)},
        }
        for step, target, row in _rows(forecasts)
    ]


def _rows(forecasts: Forecasts) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the position of each step and target, with the columns that all its rows share."""
    for i, target in enumerate(forecasts.targets):
        for step, time in enumerate(forecasts.target_times):
            yield (
                step,
                i,
                {
                    "model_id": forecasts.model_id,
                    "as_of": _moment(forecasts.as_of),
                    "target": target,
                    "step": step + 1,
                    "target_time": None if time is None else _moment(time),
                },
            )


def _moment(timestamp: Timestamp) -> Any:
    return pd.Timestamp(timestamp).to_pydatetime() if isinstance(timestamp, str) else timestamp


def _refuse_other_table(connection: Connection, table: Table, shown_name: str) -> None:
    inspector = inspect(connection)
    existing = {column["name"]: column["type"] for column in inspector.get_columns(table.name, schema=table.schema)}
    missing = [column.name for column in table.columns if column.name not in existing]
    keys = inspector.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]
    own_keys = table.primary_key.columns.keys()
    if missing or set(keys) != set(own_keys):
        fault = f"lacks {', '.join(missing)}" if missing else f"has the key {', '.join(keys) or 'none'}"
        raise DatabaseError(
            f"a forecasts table must have the columns {', '.join(table.columns.keys())} and the key "
            f"{', '.join(own_keys)}, and {shown_name!r} {fault}: choose another `forecasts_table`"
        )
    is_dated = isinstance(existing["as_of"], DateTime)
    if is_dated != isinstance(table.c.as_of.type, DateTime):
        kinds = ("timestamps", "integers") if is_dated else ("integers", "timestamps")
        raise DatabaseError(
            f"a forecasts table can hold only one kind of timestamps, and {shown_name!r} has {kinds[0]}, while these "
            f"rows are indexed by {kinds[1]}: choose another `forecasts_table`"
        )
