"""The timestamps of the rows that `ingest` left out, stored beside the features table."""

from collections.abc import Mapping

import pandas as pd
from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, bindparam, delete, exists, inspect, select
from sqlalchemy.exc import ProgrammingError

_NAME = "kallos_left_out"


def note_left_out(connection: Connection, table: Table, left_out: Mapping[str, pd.Series]) -> None:
    """Store which rule each left-out row breaks, and forget those of rows that the table now has."""
    notes = _notes(table.schema)
    own_name = _as_known(connection, table.name)
    rows = [
        {"of": own_name, "asset": asset_id, "at": timestamp.to_pydatetime(), "why": reason}
        for asset_id, reasons in left_out.items()
        for timestamp, reason in reasons.items()
    ]
    if not inspect(connection).has_table(_NAME, schema=table.schema):
        if not rows:
            return
        notes.create(connection)
    if rows:
        is_same = (
            notes.c.features_table == bindparam("of"),
            notes.c.asset_id == bindparam("asset"),
            notes.c.timestamp == bindparam("at"),
        )
        connection.execute(delete(notes).where(*is_same), rows)
        values = {"features_table": "of", "asset_id": "asset", "timestamp": "at", "reason": "why"}
        connection.execute(notes.insert().values({column: bindparam(name) for column, name in values.items()}), rows)
    is_there = exists().where(table.c.asset_id == notes.c.asset_id, table.c.timestamp == notes.c.timestamp)
    connection.execute(delete(notes).where(notes.c.features_table == own_name, is_there))


def read_left_out(connection: Connection, schema: str | None, table_name: str, asset_id: str) -> pd.Series:
    """Return the rule that each left-out row of an asset breaks, by timestamp."""
    notes = _notes(schema)
    found: list[tuple[object, str]] = []
    if inspect(connection).has_table(_NAME, schema=schema):
        query = select(notes.c.timestamp, notes.c.reason).where(
            notes.c.features_table == _as_known(connection, table_name), notes.c.asset_id == asset_id
        )
        try:
            found = [(timestamp, reason) for timestamp, reason in connection.execute(query.order_by(notes.c.timestamp))]
        except ProgrammingError:
            # A user who may read the features need not have access to this table.
            connection.rollback()
    index = pd.DatetimeIndex([timestamp for timestamp, _ in found]).as_unit("ns")
    return pd.Series([reason for _, reason in found], index, dtype=object)


def _notes(schema: str | None) -> Table:
    return Table(
        _NAME,
        MetaData(),
        Column("features_table", String, primary_key=True),
        Column("asset_id", String, primary_key=True),
        Column("timestamp", DateTime, primary_key=True),
        Column("reason", String),
        schema=schema,
    )


def _as_known(connection: Connection, table_name: str) -> str:
    """Return a table's name as it is stored: SQLite ignores its case."""
    return table_name.lower() if connection.dialect.name == "sqlite" else table_name
