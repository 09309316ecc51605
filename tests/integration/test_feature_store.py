"""The features database, on a real SQLite file and on a real PostgreSQL server."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    make_url,
)

from kallos.checks.examination import examine
from kallos.datasets import load_features_from_db
from kallos.errors import DatabaseError, DataError, KallosError, UsageError
from kallos.features.files.indicators import compute_indicators
from kallos.features.files.ingest import ingest_prices
from kallos.features.frequency import find_frequency
from kallos.features.store import FeatureStore
from kallos.features.writing import Written
from kallos.specs.data import DataSpec, FeatureSpec
from kallos.specs.study import TuneSpec
from tests.databases import SqlDatabase, postgresql_database

DAYS = pd.date_range("2020-01-01", periods=60, name="timestamp", unit="ns")
HOURS = pd.date_range("2020-01-01", periods=240, freq="h", name="timestamp", unit="ns")
INJECTION = "x'; DROP TABLE features; --"


class Database(SqlDatabase):
    """One test's own database, empty at first."""

    def fill(self, name: str, columns: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]) -> None:
        """Make a table as a user would, with no key."""
        schema, _, name = name.rpartition(".")
        table = Table(name, MetaData(), *(Column(*column) for column in columns.items()), schema=schema or None)
        with self.connect() as connection:
            table.create(connection)
            connection.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])

    def write(self, features: Mapping[str, pd.DataFrame]) -> list[Written]:
        with FeatureStore(self.url) as store:
            return store.write(features)

    def load(self, asset_id: str = "BTC", **choices: Any) -> pd.DataFrame:
        return load_features_from_db(self.url, asset_id, **choices)

    def refusal(self, kind: type[KallosError], asset_id: str = "BTC", **choices: Any) -> str:
        with pytest.raises(kind) as caught:
            self.load(asset_id, **choices)
        return one_line(caught)


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'features.db'}")


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    with postgresql_database(postgres_url, "feature_store") as made:
        yield Database(made.url)


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> Database:
    database: Database = request.getfixturevalue(request.param)
    return database


def one_line(caught: pytest.ExceptionInfo[KallosError]) -> str:
    line = str(caught.value)
    assert "\n" not in line
    return line


def counted(index: pd.Index) -> pd.DataFrame:
    """Return features whose values tell their row: 0.1, 1.1, 2.1, ..."""
    return pd.DataFrame({"x": np.arange(len(index)) + 0.1}, index=index)


def bars(n_rows: int) -> pd.DataFrame:
    row = np.arange(n_rows, dtype=float)
    close = 100 + 10 * np.sin(row)
    return pd.DataFrame(
        {"open": close - 1, "high": close + 2, "low": close - 2, "close": close, "volume": 1000 + row},
        index=pd.date_range("2020-01-01", periods=n_rows, name="timestamp", unit="ns"),
    )


# Written, and loaded again


def test_what_is_written_is_loaded_to_the_bit(db: Database, features: pd.DataFrame) -> None:
    db.write({"BTC": features})

    loaded = db.load()

    pd.testing.assert_frame_equal(loaded, features, check_exact=True)
    assert loaded.to_numpy().tobytes() == features.to_numpy().tobytes()


def test_numbers_at_the_ends_of_what_a_float_holds_are_loaded_to_the_bit(db: Database) -> None:
    values = [0.1 + 0.2, 1 / 3, 5e-324, np.nextafter(1, 2), -1e-300, 2.0**53 + 1, np.finfo(float).max, np.inf, -np.inf]
    extreme = pd.DataFrame({"x": values}, index=DAYS[: len(values)])

    db.write({"BTC": extreme})

    assert db.load()["x"].to_numpy().tobytes() == np.array(values).tobytes()


def test_missing_values_stay_missing(db: Database) -> None:
    gaps = counted(DAYS).assign(y=np.nan)
    gaps.iloc[3:5, 0] = np.nan

    db.write({"BTC": gaps})

    pd.testing.assert_frame_equal(db.load(), gaps)


def test_column_names_may_be_anything(db: Database) -> None:
    odd = counted(DAYS).rename(columns={"x": "change % (5) :d \"q\" 'r'"})

    db.write({"BTC": odd})

    pd.testing.assert_frame_equal(db.load(), odd)


def test_writing_the_same_rows_again_adds_none_and_changes_none(db: Database, features: pd.DataFrame) -> None:
    reports = [db.write({"BTC": features, "ETH": features.iloc[:50]}) for _ in range(2)]

    for report, new_rows in zip(reports, ([400, 50], [0, 0]), strict=True):
        assert report == [
            Written("BTC", 400, new_rows[0], features.index[0], features.index[-1], 7),
            Written("ETH", 50, new_rows[1], features.index[0], features.index[49], 7),
        ]
    assert db.rows("SELECT count(*) FROM features") == [(450,)]
    pd.testing.assert_frame_equal(db.load(), features, check_exact=True)


def test_a_bar_that_changed_replaces_the_old_one_and_later_bars_are_added(db: Database) -> None:
    before, after = counted(DAYS[:40]), counted(DAYS) * 2
    db.write({"BTC": before, "ETH": before})

    (report,) = db.write({"BTC": after.iloc[35:]})

    assert (report.rows, report.new_rows) == (25, 20)
    expected = pd.concat([before.iloc[:35], after.iloc[35:]])
    pd.testing.assert_frame_equal(db.load(), expected, check_exact=True, check_freq=False)
    pd.testing.assert_frame_equal(db.load("ETH"), before, check_exact=True)


def test_each_asset_has_its_own_rows(db: Database) -> None:
    assets = {"BTC": counted(DAYS), "ETH": -counted(DAYS[10:20]), "btc": counted(DAYS[:5]) * 3}
    db.write(assets)

    for asset_id, rows in assets.items():
        pd.testing.assert_frame_equal(db.load(asset_id), rows, check_exact=True)


def test_prices_become_features_once(db: Database) -> None:
    prices = {"BTC": bars(80), "ETH": bars(34)}

    reports = [ingest_prices(prices, db.url) for _ in range(2)]

    assert [[(each.rows, each.new_rows) for each in report] for report in reports] == [
        [(47, 47), (1, 1)],
        [(47, 0), (1, 0)],
    ]
    pd.testing.assert_frame_equal(db.load(), compute_indicators(prices["BTC"]), check_exact=True)


# Which rows


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (None, None, "2020-01-01 00:00", "2020-01-10 23:00"),
        ("2020-01-03", "2020-01-05", "2020-01-03 00:00", "2020-01-05 23:00"),
        ("2020-01-03", "2020-01-03", "2020-01-03 00:00", "2020-01-03 23:00"),
        ("20200103", "20200105", "2020-01-03 00:00", "2020-01-05 23:00"),
        ("2020-01-03 05:00", "2020-01-05T12:00", "2020-01-03 05:00", "2020-01-05 12:00"),
        ("2020-01-03 05:00:01", "2020-01-05 00:00", "2020-01-03 06:00", "2020-01-05 00:00"),
        ("2020-01-03T05:00+02:00", "2020-01-05T12:00Z", "2020-01-03 03:00", "2020-01-05 12:00"),
        ("1900-01-01", "2100-01-01", "2020-01-01 00:00", "2020-01-10 23:00"),
        ("0001-01-01", "9999-12-31", "2020-01-01 00:00", "2020-01-10 23:00"),
    ],
)
def test_start_and_end_are_inclusive_and_an_end_without_a_time_is_its_whole_day(
    db: Database, start: str | None, end: str | None, first: str, last: str
) -> None:
    db.write({"BTC": counted(HOURS)})

    loaded = db.load(start_date=start, end_date=end)

    pd.testing.assert_frame_equal(loaded, counted(HOURS).loc[first:last], check_exact=True, check_freq=False)
    assert loaded.index.freq == "h"


@pytest.mark.parametrize("which", ["start_date", "end_date"])
@pytest.mark.parametrize("moment", ["tomorrow", "2020-02-30", INJECTION])
def test_a_date_that_is_none_is_refused(db: Database, which: str, moment: str) -> None:
    db.write({"BTC": counted(DAYS)})

    line = db.refusal(UsageError, **{which: moment})

    assert f"`{which}` must be an ISO date" in line
    assert repr(moment) in line


@pytest.mark.parametrize(("start", "end"), [("2021-01-01", None), (None, "2019-12-31")])
def test_an_empty_range_names_the_rows_that_there_are(db: Database, start: str | None, end: str | None) -> None:
    db.write({"BTC": counted(DAYS), "ETH": counted(DAYS - pd.Timedelta(days=365))})

    line = db.refusal(DataError, start_date=start, end_date=end)

    assert f"asset 'BTC' has no rows from {start or 'the first row'} to {end or 'the last row'}" in line
    assert "go from 2020-01-01 00:00:00 to 2020-02-29 00:00:00" in line


# The table of a user


OWN = {"timestamp_column": "moment", "asset_column": "coin"}


@pytest.mark.parametrize(
    ("backend", "timestamp", "write"),
    [
        ("sqlite", Text, str),
        ("sqlite", Text, lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("sqlite", Text, lambda moment: moment.strftime("%Y-%m-%d")),
        ("sqlite", DateTime, datetime),
        ("sqlite", Date, datetime.date),
        ("postgresql", Text, str),
        ("postgresql", DateTime, datetime),
        ("postgresql", Date, datetime.date),
        ("postgresql", DateTime(timezone=True), lambda moment: moment.replace(tzinfo=UTC)),
    ],
    ids=[
        *("SQLite text", "SQLite text T Z", "SQLite text date", "SQLite datetime", "SQLite date"),
        *("PostgreSQL text", "PostgreSQL timestamp", "PostgreSQL date", "PostgreSQL timestamptz"),
    ],
)
def test_timestamps_of_any_type_are_utc_in_any_zone_of_the_server(
    request: pytest.FixtureRequest, backend: str, timestamp: Any, write: Any
) -> None:
    db: Database = request.getfixturevalue(backend)
    moments = DAYS.to_pydatetime()
    timestamps = moments if write is datetime else [write(moment) for moment in moments]
    db.fill(
        "own",
        {"coin": Text, "moment": timestamp, "x": Double},
        [("BTC", moment, row + 0.1) for row, moment in reversed(list(enumerate(timestamps)))],
    )
    if backend == "postgresql":
        db.run("ALTER DATABASE feature_store SET timezone TO 'America/New_York'")

    loaded = db.load(features_table="own", start_date="2020-01-03", end_date="2020-02-03", **OWN)

    expected = counted(DAYS).loc["2020-01-03":"2020-02-03"].rename_axis("moment")
    pd.testing.assert_frame_equal(loaded, expected, check_exact=True)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
def test_days_of_a_zone_in_a_column_with_time_zone_are_read_in_the_zone_that_is_named(
    postgresql: Database, zone: str
) -> None:
    local = DAYS.tz_localize(zone).append(pd.DatetimeIndex(["2020-07-01"]).tz_localize(zone))
    columns = {"coin": Text, "moment": DateTime(timezone=True), "x": Double}
    rows = [("BTC", moment.to_pydatetime(), row + 0.1) for row, moment in enumerate(local)]
    postgresql.fill("own", columns, rows)
    # That of whoever asks changes nothing.
    postgresql.run(f"ALTER DATABASE feature_store SET timezone TO '{zone}'")
    asked: dict[str, Any] = {**OWN, "frequency": "sessions", "start_date": "2020-01-03", "end_date": "2020-02-03"}

    for source in (
        {"features_table": "own", **asked},
        {
            **asked,
            "query": "SELECT moment, x FROM own WHERE coin = :asset_id AND moment >= CAST(:start_date AS timestamptz) "
            "AND moment <= CAST(:end_date AS timestamptz)",
        },
    ):
        loaded = postgresql.load(days_in=zone, **source)

        assert loaded.index.tolist() == DAYS[2:34].tolist()
        assert loaded["x"].tolist() == [row + 0.1 for row in range(2, 34)]
    said = postgresql.refusal(DataError, features_table="own", **OWN)
    assert f"give `days_in` {zone} if they are days there" in said


@pytest.mark.parametrize("value", ["0.1", "-12345.678901", "0.000000123456789012345", "123456789012345"])
def test_numeric_columns_become_the_nearest_floats(db: Database, value: str) -> None:
    db.run(
        "CREATE TABLE features (asset_id TEXT, timestamp TIMESTAMP, x NUMERIC, n INTEGER, empty NUMERIC)",
        *(f"INSERT INTO features VALUES ('BTC', '2020-01-0{day} 00:00:00', {value}, {day}, NULL)" for day in (1, 2, 3)),
    )

    loaded = db.load()

    assert loaded["x"].tolist() == [float(Decimal(value))] * 3
    assert loaded["n"].tolist() == [1, 2, 3]
    assert loaded["empty"].dtype == np.float64
    assert loaded["empty"].isna().all()


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("sqlite", "VIEW"),
        ("postgresql", "VIEW"),
        ("postgresql", "MATERIALIZED VIEW"),
    ],
)
def test_a_view_is_as_good_as_a_table(request: pytest.FixtureRequest, backend: str, kind: str) -> None:
    db: Database = request.getfixturevalue(backend)
    db.write({"BTC": counted(DAYS)})
    db.run(f'CREATE {kind} "My view" AS SELECT x AS y, timestamp AS moment, asset_id AS coin FROM features')

    loaded = db.load(features_table="My view", **OWN)

    pd.testing.assert_frame_equal(loaded, counted(DAYS).rename(columns={"x": "y"}).rename_axis("moment"))


def test_a_table_in_another_schema_is_named_with_it(postgresql: Database) -> None:
    postgresql.write({"BTC": -counted(DAYS)})
    postgresql.run("CREATE SCHEMA research", "CREATE TABLE research.features AS SELECT * FROM features")
    postgresql.run("UPDATE research.features SET x = -x")

    pd.testing.assert_frame_equal(postgresql.load(features_table="research.features"), counted(DAYS))
    assert "did you mean 'features'?" in postgresql.refusal(DatabaseError, features_table="research.feature")
    line = postgresql.refusal(DatabaseError, features_table="Research.features")
    assert "'Research' does not exist: did you mean 'research'?" in line


@pytest.mark.parametrize("kind", [Integer, BigInteger])
def test_assets_may_be_integers(db: Database, kind: Any) -> None:
    db.fill(
        "features",
        {"asset_id": kind, "timestamp": DateTime, "x": Double},
        [(asset, moment, asset + 0.5) for asset in (1, 12) for moment in DAYS.to_pydatetime()],
    )

    assert set(db.load("12")["x"]) == {12.5}
    assert "asset '2' has no rows" in db.refusal(DataError, "2")
    assert "assets must be integers, as in column 'asset_id', not 'BTC'" in db.refusal(UsageError, "BTC")


def test_an_integer_asset_that_no_column_can_hold_is_refused_in_one_line(db: Database) -> None:
    db.fill("features", {"asset_id": Integer, "timestamp": DateTime, "x": Double}, [(1, DAYS[0].to_pydatetime(), 0.5)])

    assert "9" * 25 in db.refusal(KallosError, "9" * 25)


class TestATableIndexedByIntegers:
    @pytest.fixture(params=[Integer, BigInteger])
    def rows(self, db: Database, request: pytest.FixtureRequest) -> Database:
        db.fill(
            "features",
            {"asset_id": Text, "timestamp": request.param, "x": Double},
            [("BTC", row, row / 4) for row in reversed(range(0, 300, 3))],
        )
        return db

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (None, None, range(0, 300, 3)),
            ("30", "60", range(30, 63, 3)),
            ("31", "59", range(33, 60, 3)),
            (None, "9", range(0, 12, 3)),
        ],
    )
    def test_is_sorted_and_cut_at_both_ends(
        self, rows: Database, start: str | None, end: str | None, expected: range
    ) -> None:
        loaded = rows.load(start_date=start, end_date=end)

        assert loaded.index.tolist() == list(expected)
        assert loaded.index.dtype == np.int64
        assert loaded["x"].tolist() == [row / 4 for row in expected]
        assert str(find_frequency(loaded.index)) == "rows"

    def test_takes_no_dates(self, rows: Database) -> None:
        assert "must be an integer" in rows.refusal(UsageError, start_date="2020-01-01")

    def test_names_the_rows_that_there_are(self, rows: Database) -> None:
        assert "go from 0 to 297" in rows.refusal(DataError, start_date="300")

    def test_names_the_assets_that_there_are(self, rows: Database) -> None:
        assert "did you mean 'BTC'?" in rows.refusal(DataError, "BTX", start_date="30", end_date="60")


# Names that are not there


@pytest.mark.parametrize(
    ("choices", "kind", "said", "meant"),
    [
        ({"features_table": "feature"}, DatabaseError, "table 'feature' is not in", "features"),
        ({"timestamp_column": "timestmp"}, DatabaseError, "column 'timestmp' is not in table", "timestamp"),
        ({"asset_column": "asset"}, DatabaseError, "column 'asset' is not in table", "asset_id"),
        ({"asset_id": "BTX-USD"}, DataError, "asset 'BTX-USD' has no rows in table", "BTC-USD"),
        ({"asset_id": "BTX-USD", "end_date": "1999-01-01"}, DataError, "asset 'BTX-USD' has no rows", "BTC-USD"),
    ],
    ids=["table", "timestamp column", "asset column", "asset", "asset and date"],
)
def test_a_name_that_is_not_there_is_named_with_the_nearest_one(
    db: Database, choices: dict[str, str], kind: type[KallosError], said: str, meant: str
) -> None:
    db.write({"BTC-USD": counted(DAYS), "ETH-USD": counted(DAYS)})

    line = db.refusal(kind, **{"asset_id": "BTC-USD", **choices})

    assert said in line
    assert f"did you mean {meant!r}?" in line


@pytest.mark.parametrize("name", [INJECTION, "O'Brien", '"', "100%", ":asset", "%(asset)s", "a b", "ключ", "\\"])
def test_an_asset_id_is_data_and_never_sql(db: Database, name: str) -> None:
    db.write({"BTC": counted(DAYS)})
    assert f"asset {name!r} has no rows" in db.refusal(DataError, name)

    db.write({name: -counted(DAYS)})

    pd.testing.assert_frame_equal(db.load(name), -counted(DAYS))
    pd.testing.assert_frame_equal(db.load(), counted(DAYS))


@pytest.mark.parametrize("choice", ["features_table", "timestamp_column", "asset_column"])
def test_a_table_or_column_that_is_sql_is_only_unknown(db: Database, choice: str) -> None:
    db.write({"BTC": counted(DAYS)})

    assert "is not in" in db.refusal(DatabaseError, **{choice: INJECTION})
    pd.testing.assert_frame_equal(db.load(), counted(DAYS))


# Rows that are doubled, missing or unreadable


def test_doubled_timestamps_are_refused_with_the_timestamps(db: Database) -> None:
    timestamps = [
        "2020-01-01",
        "2020-01-02",
        "2020-01-02T00:00:00Z",
        "2020-01-03",
        "2020-01-03 01:00+01:00",
        "2020-01-04",
    ]
    db.fill("features", {"asset_id": Text, "timestamp": Text, "x": Double}, [("BTC", each, 1.0) for each in timestamps])

    line = db.refusal(DataError)

    assert "timestamps must be unique" in line
    assert "2 more than once (2020-01-02 00:00:00, 2020-01-03 00:00:00) in table 'features'" in line


def test_doubled_timestamps_outside_the_range_that_is_asked_for_do_no_harm(db: Database) -> None:
    moments = [DAYS[0], *DAYS]
    db.fill(
        "features",
        {"asset_id": Text, "timestamp": DateTime, "x": Double},
        [("BTC", moment.to_pydatetime(), 0.5) for moment in moments],
    )

    assert len(db.load(start_date="2020-01-02")) == 59


@pytest.mark.parametrize(
    ("index", "frequency", "lacking"),
    [
        (DAYS, "D", ["2020-01-31 00:00:00", "2020-02-01 00:00:00"]),
        (HOURS, "h", ["2020-01-02 06:00:00", "2020-01-02 07:00:00"]),
    ],
    ids=["days", "hours"],
)
@pytest.mark.parametrize("given", [True, False], ids=["given", "found out"])
def test_missing_rows_of_a_regular_table_are_named(
    db: Database, index: pd.DatetimeIndex, frequency: str, lacking: list[str], given: bool
) -> None:
    db.write({"BTC": counted(index).drop(index=index[30:32])})

    line = db.refusal(DataError, frequency=frequency if given else None)

    assert f"rows of frequency {frequency!r} must have no gaps" in line
    assert f"2 of {len(index)} timestamps are missing ({', '.join(lacking)})" in line
    # A range without the gap is whole.
    assert len(db.load(start_date=str(index[32]))) == len(index) - 32


def test_rows_on_weekdays_alone_are_sessions_that_may_have_gaps(db: Database) -> None:
    sessions = pd.bdate_range("2020-01-01", "2020-03-31", name="timestamp").as_unit("ns")
    holidays = pd.to_datetime(["2020-01-20", "2020-02-17"])
    traded = counted(sessions.difference(holidays).rename("timestamp"))
    db.write({"SPX": traded})

    loaded = db.load("SPX")

    pd.testing.assert_frame_equal(loaded, traded, check_exact=True, check_freq=False)
    assert loaded.index.freq is None
    assert str(find_frequency(loaded.index)) == "sessions:D"
    assert "2020-01-04 00:00:00" in db.refusal(DataError, "SPX", frequency="D")


def test_days_may_be_missing_when_they_are_called_sessions(db: Database) -> None:
    gaps = counted(DAYS).drop(index=DAYS[30:32])
    db.write({"BTC": gaps})

    pd.testing.assert_frame_equal(db.load(frequency="sessions"), gaps, check_freq=False)


@pytest.mark.parametrize("frequency", ["fortnight", "rows"])
def test_a_frequency_that_does_not_suit_is_refused(db: Database, frequency: str) -> None:
    db.write({"BTC": counted(DAYS)})

    assert repr(frequency) in db.refusal(UsageError, frequency=frequency)


@pytest.mark.parametrize("timestamp", ["yesterday", "2020-02-30", "9999-12-31"])
def test_text_that_is_no_timestamp_is_refused(db: Database, timestamp: str) -> None:
    db.fill(
        "features",
        {"asset_id": Text, "timestamp": Text, "x": Double},
        [("BTC", moment, 0.5) for moment in ("2020-01-01", "2020-01-02", timestamp)],
    )

    assert "column 'timestamp' must hold timestamps (ISO 8601, 1678 to 2261) or integers" in db.refusal(DataError)


@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMP", "DATE"])
def test_a_date_column_of_sqlite_that_holds_words_is_refused(sqlite: Database, kind: str) -> None:
    sqlite.run(
        f"CREATE TABLE features (asset_id TEXT, timestamp {kind}, x REAL)",
        "INSERT INTO features VALUES ('BTC', '2020-01-01', 1.0), ('BTC', 'yesterday', 2.0)",
    )

    assert "column 'timestamp' must hold timestamps (ISO 8601, 1678 to 2261) or integers" in sqlite.refusal(DataError)


@pytest.mark.parametrize(
    ("moment", "row"), [("infinity", 3), ("-infinity", 1), ("0044-03-15 BC", 1), ("12000-01-01", 3), ("1066-10-14", 1)]
)
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
@pytest.mark.parametrize("query", [None, "SELECT timestamp, x FROM features WHERE asset_id = :asset_id ORDER BY 1"])
def test_a_moment_of_postgresql_that_nobody_else_can_hold_is_named_with_its_row(
    postgresql: Database, kind: str, moment: str, row: int, query: str | None
) -> None:
    postgresql.run(
        f"CREATE TABLE features (asset_id TEXT, timestamp {kind}, x DOUBLE PRECISION)",
        f"INSERT INTO features VALUES ('BTC', '2020-01-01', 1.0), ('BTC', '2020-01-02', 2.0), ('BTC', '{moment}', 3.0)",
    )

    line = postgresql.refusal(DataError, query=query)

    shown = moment.split()[0] if kind == "date" or "inf" not in moment else moment
    assert f"row {row} holds " in line
    assert f"'{shown}" in line
    assert "check that it runs" not in line
    spec = DataSpec(asset_id="BTC", query=query)
    with FeatureStore(postgresql.url) as store:
        findings = examine(store.read(spec), TuneSpec(data=spec, features=FeatureSpec(target="x"))).findings
    (found,) = (each for each in findings if each.fault == "unreadable-timestamps")
    assert f"row {row} holds " in found.message


def test_rows_of_postgresql_beside_an_odd_moment_are_read_as_ever(postgresql: Database) -> None:
    postgresql.run(
        "CREATE TABLE features (asset_id TEXT, timestamp timestamptz, x DOUBLE PRECISION)",
        "INSERT INTO features SELECT 'BTC', '2020-01-01 UTC'::timestamptz + n * interval '1 day', n + 0.1 "
        "FROM generate_series(0, 59) AS n",
        "INSERT INTO features VALUES ('BTC', 'infinity', 0)",
    )

    pd.testing.assert_frame_equal(
        postgresql.load(end_date="2021-01-01"), counted(DAYS), check_freq=False, check_names=False
    )


@pytest.mark.parametrize("kind", [Text, DateTime, Integer])
def test_rows_without_a_timestamp_are_counted(db: Database, kind: Any) -> None:
    known = {Text: "2020-01-01", DateTime: datetime(2020, 1, 1), Integer: 1}[kind]
    db.fill(
        "features",
        {"asset_id": Text, "timestamp": kind, "x": Double},
        [("BTC", known, 0.5), ("BTC", None, 0.5), ("BTC", None, 0.5)],
    )

    line = db.refusal(DataError)

    assert "every row must have a timestamp" in line
    assert "lacks 2" in line


# Writes that fail


def test_a_write_to_a_table_that_lacks_columns_is_refused_and_leaves_its_rows(db: Database) -> None:
    db.write({"BTC": counted(DAYS)})

    with pytest.raises(DatabaseError) as caught:
        db.write({"BTC": counted(DAYS).assign(x=0.0, y=1.0, z=1.0)})

    assert "table 'features' must have a column for each feature, and lacks y, z" in one_line(caught)
    pd.testing.assert_frame_equal(db.load(), counted(DAYS), check_exact=True)


def test_a_write_that_is_refused_half_way_leaves_the_rows_as_they_were(db: Database) -> None:
    db.run(
        "CREATE TABLE features (asset_id TEXT, timestamp TIMESTAMP, x DOUBLE PRECISION CHECK (x > 0), "
        "PRIMARY KEY (asset_id, timestamp))"
    )
    db.write({"BTC": counted(DAYS[:40])})

    with pytest.raises(DatabaseError) as caught:
        db.write({"BTC": counted(DAYS) * 2, "ETH": counted(DAYS) - 30})

    one_line(caught)
    pd.testing.assert_frame_equal(db.load(), counted(DAYS[:40]), check_exact=True)
    assert db.rows("SELECT DISTINCT asset_id FROM features") == [("BTC",)]


def test_an_asset_with_too_few_bars_keeps_the_others_out_too(db: Database) -> None:
    db.write({"SOL": counted(DAYS)})

    with pytest.raises(DataError) as caught:
        ingest_prices({"BTC": bars(80), "ETH": bars(33)}, db.url)

    assert "needs 34 bars, and asset 'ETH' has 33;" in one_line(caught)
    assert db.rows("SELECT DISTINCT asset_id FROM features") == [("SOL",)]


# Databases that are not there, or refuse


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that is taken and does not listen, so that every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    "template",
    [
        "postgresql://ada:hunter2@127.0.0.1:{}/prices",
        "postgres://ada:hunter2@127.0.0.1:{}/prices",
        "postgresql+psycopg://ada:%40hunter2%2F@127.0.0.1:{}/prices",
        "postgresql://127.0.0.1:{}/prices?user=ada&password=hunter2",
    ],
)
@pytest.mark.parametrize("verb", ["load", "write"])
def test_a_server_that_does_not_listen_is_named_without_the_password(dead_port: int, template: str, verb: str) -> None:
    db = Database(template.format(dead_port))

    with pytest.raises(DatabaseError) as caught:
        db.load() if verb == "load" else db.write({"BTC": counted(DAYS)})

    line = one_line(caught)
    assert f"127.0.0.1:{dead_port}/prices" in line
    assert "hunter2" not in line


def test_a_database_that_the_server_does_not_have_is_named(postgres_url: str) -> None:
    nowhere = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)

    assert '"nowhere" does not exist' in Database(nowhere).refusal(DatabaseError)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:hunter2@localhost/prices",
        "mssql+pyodbc://ada:hunter2@localhost/prices",
        "sqlite+hunter2:///features.db",
        "hunter2",
        "hunter2.db",
        "",
        "postgresql:/ada:hunter2@localhost/prices",
        "postgresql://ada:hunter2@localhost:port/prices",
    ],
)
def test_what_is_no_url_of_sqlite_or_postgresql_is_refused_without_showing_it(url: str) -> None:
    line = Database(url).refusal(UsageError)

    assert "database" in line
    assert "hunter2" not in line
    assert "localhost" not in line


@pytest.mark.parametrize(
    ("backend", "driver"),
    [
        *(("sqlite", driver) for driver in ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite")),
        *(("postgresql", driver) for driver in ("postgres", "postgresql+asyncpg", "postgresql+psycopg2")),
    ],
)
def test_the_driver_in_a_url_does_not_matter(request: pytest.FixtureRequest, backend: str, driver: str) -> None:
    db: Database = request.getfixturevalue(backend)
    db.write({"BTC": counted(DAYS)})

    loaded = Database(db.url.replace(backend, driver, 1)).load()

    pd.testing.assert_frame_equal(loaded, counted(DAYS), check_exact=True)


@pytest.mark.parametrize("name", ["none.db", "no folder/none.db"])
def test_a_sqlite_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path, name: str) -> None:
    line = Database(f"sqlite:///{tmp_path / name}").refusal(DatabaseError)

    assert f"there is no file {tmp_path / name}" in line
    assert not list(tmp_path.iterdir())


def test_a_write_makes_the_sqlite_file_and_its_folder(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'new' / 'folder' / 'features.db'}")

    db.write({"BTC": counted(DAYS)})

    pd.testing.assert_frame_equal(db.load(), counted(DAYS))


@pytest.mark.parametrize("place", [".", "notes.txt", "notes.txt/features.db"])
@pytest.mark.parametrize("verb", ["load", "write"])
def test_a_place_that_cannot_be_a_sqlite_file_is_refused_and_left_alone(tmp_path: Path, place: str, verb: str) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database\n" * 100)
    db = Database(f"sqlite:///{tmp_path / place}")

    with pytest.raises(DatabaseError) as caught:
        db.load() if verb == "load" else db.write({"BTC": counted(DAYS)})

    assert str(tmp_path) in one_line(caught)
    assert notes.read_text() == "not a database\n" * 100


@pytest.mark.parametrize(
    ("backend", "fails"), [("sqlite", "abs(-9223372036854775807 - 1)"), ("postgresql", "1 / (length('') * 1)")]
)
def test_a_query_that_the_database_refuses_is_one_line(
    request: pytest.FixtureRequest, backend: str, fails: str
) -> None:
    db: Database = request.getfixturevalue(backend)
    db.write({"BTC": counted(DAYS)})
    db.run(f"CREATE VIEW broken AS SELECT asset_id, timestamp, {fails} AS x FROM features")

    assert {"sqlite": "overflow", "postgresql": "division by zero"}[backend] in db.refusal(
        DatabaseError, features_table="broken"
    )


def test_a_table_that_the_user_may_not_read_is_refused_in_one_line(postgresql: Database) -> None:
    postgresql.write({"BTC": counted(DAYS)})
    postgresql.run("CREATE ROLE reader LOGIN")
    try:
        reader = make_url(postgresql.url).set(username="reader").render_as_string(hide_password=False)

        assert "permission denied" in Database(reader).refusal(DatabaseError)
    finally:
        postgresql.run("DROP ROLE reader")
