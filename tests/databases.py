"""A database of a test's own, and two tables in it as users have them: prices, and indicators beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Column, Connection, DateTime, Double, Integer, MetaData, Table, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from kallos.datasets import load_features_from_db
from kallos.errors import KallosError

DAYS = pd.date_range("2020-01-01", periods=400, name="timestamp", unit="ns")
ASSETS = (1, 12)


@dataclass(frozen=True)
class SqlDatabase:
    """A database, with a connection that may do everything."""

    url: str

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        url = make_url(self.url)
        driver = "postgresql+psycopg" if url.get_backend_name() == "postgresql" else "sqlite"
        with create_engine(url.set(drivername=driver), poolclass=NullPool).begin() as connection:
            yield connection

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def load(self, asset_id: str = "12", **choices: Any) -> pd.DataFrame:
        return load_features_from_db(self.url, asset_id, **choices)

    def refusal(self, kind: type[KallosError], asset_id: str = "12", **choices: Any) -> str:
        with pytest.raises(kind) as caught:
            self.load(asset_id, **choices)
        line = str(caught.value)
        assert "\n" not in line
        return line

    def fill_two_tables(self) -> None:
        """Make `prices` and `indicators`, with no key, of two assets."""
        prices, indicators = (
            Table(
                name,
                MetaData(),
                Column("id", Integer),
                Column("timestamp", DateTime),
                *(Column(column, Double) for column in columns),
            )
            for name, columns in (("prices", ("price", "volume")), ("indicators", ("rsi_14", "macd")))
        )
        with self.connect() as connection:
            for table in (prices, indicators):
                table.create(connection)
                for asset in ASSETS:
                    columns = list(table.columns.keys())
                    connection.execute(table.insert(), made(asset).reset_index()[columns].to_dict("records"))


@contextmanager
def postgresql_database(server_url: str, name: str) -> Iterator[SqlDatabase]:
    """Make a database on the server, and drop it at the end."""
    server = create_engine(
        make_url(server_url).set(drivername="postgresql+psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield SqlDatabase(make_url(server_url).set(database=name).render_as_string(hide_password=False))
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def made(asset: int) -> pd.DataFrame:
    """Return what both tables hold of an asset, side by side."""
    rng = np.random.default_rng(asset)
    return pd.DataFrame(
        {
            "id": asset,
            "price": 100 * asset * np.exp(rng.normal(0, 0.02, len(DAYS)).cumsum()),
            "volume": rng.uniform(1, 2, len(DAYS)),
            "rsi_14": rng.uniform(0, 100, len(DAYS)),
            "macd": rng.normal(size=len(DAYS)),
        },
        index=DAYS,
    )
