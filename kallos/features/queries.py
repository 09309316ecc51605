"""The statements that read one asset's rows, with bound values and reflected identifiers only."""

from datetime import UTC
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, TextClause, bindparam, select, text, true, type_coerce
from sqlalchemy.types import BigInteger, Date, DateTime, Float, Integer, NullType, Numeric, String

from kallos.errors import UsageError
from kallos.features.dates import bound_texts, utc_bounds
from kallos.specs.data import DataSpec
from kallos.specs.query_text import escape_colons, parameters_of


def table_query(table: Table, spec: DataSpec, dialect: str) -> Select[Any]:
    """Return the statement that reads the asset's rows with all columns but the asset's, in time order."""
    timestamp = table.c[spec.timestamp_column]
    asset = None if spec.single_asset else table.c[spec.asset_column]
    others = [column for column in table.columns if column is not asset]
    query = select(*(_plain(column, dialect).label(column.name) for column in others)).where(of_asset(table, spec))
    # SQLite compares timestamps as text of any shape, so there `tidy` applies the dates.
    if dialect == "postgresql" and not isinstance(timestamp.type, Integer | String):
        zone = UTC if getattr(timestamp.type, "timezone", False) else None
        start, end = utc_bounds(spec)
        for bound, is_start in ((start, True), (end, False)):
            if bound is not None:
                moment = bound.to_pydatetime().replace(tzinfo=zone)
                value = bindparam(None, moment, type_=DateTime(timezone=zone is not None))
                query = query.where(timestamp >= value if is_start else timestamp <= value)
    return query.order_by(timestamp)


def text_query(spec: DataSpec) -> TextClause:
    """Return the user's query, wrapped so that it must be one SELECT, with the parameters that it names bound.

    They are bound without a type: the database infers it from what each is compared with.
    """
    query = str(spec.query)
    start, end = bound_texts(spec)
    values = {"asset_id": spec.only_asset, "start_date": start, "end_date": end}
    # On its own line, the bracket cannot end up in a comment at the query's end.
    return text(f"SELECT * FROM (\n{escape_colons(query)}\n) AS features").bindparams(
        *(bindparam(name, values[name], type_=NullType()) for name in parameters_of(query))
    )


def of_asset(table: Table, spec: DataSpec) -> ColumnElement[bool]:
    """Return the condition that selects the asset; raises `UsageError` if it should be an integer and is not."""
    if spec.single_asset:
        return true()
    asset: Column[Any] = table.c[spec.asset_column]
    condition: ColumnElement[bool] = asset == _asset_value(asset, spec.only_asset)
    return condition


def _plain(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """Read decimals as floats, and SQLite's dates as text."""
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
        raise UsageError(f"assets must be integers, as in column {column.name!r}, not {asset_id!r}")
    return bindparam(None, value, type_=BigInteger)
