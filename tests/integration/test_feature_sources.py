"""Features out of any table, view or query, read over connections that cannot write."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.flags import flags_of, nested
from kallos.datasets import load_features_from_db
from kallos.errors import DatabaseError, DataError, KallosError, UsageError
from kallos.features import chunks
from kallos.features.store import FeatureStore
from kallos.folds.columns import study_frame
from kallos.folds.cut import cut_folds
from kallos.settings import Settings
from kallos.specs.data import DataSpec, FeatureSpec
from kallos.specs.files import merge, read_study_file
from kallos.specs.study import FoldSpec, TuneSpec, parse_spec, parse_tune_spec
from tests.databases import DAYS, SqlDatabase, made, postgresql_database

TWO_TABLES = """
-- Prices and indicators; the target is known 7 rows after its own timestamp.
SELECT timestamp, volume, rsi_14, macd,
       LEAD(price, 7) OVER (PARTITION BY id ORDER BY timestamp) / price - 1 AS target
FROM prices JOIN indicators USING (id, timestamp)
WHERE id = :asset_id AND timestamp BETWEEN :start_date AND :end_date; -- one asset
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlDatabase]:
    """The two tables, for tests that only read."""
    if request.param == "sqlite":
        database = SqlDatabase(f"sqlite:///{tmp_path_factory.mktemp('sources') / 'own.db'}")
        database.fill_two_tables()
        yield database
    else:
        with postgresql_database(request.getfixturevalue("postgres_url"), "feature_sources") as database:
            database.fill_two_tables()
            # Text that is compared with a moment must not be read in the server's zone.
            database.run("ALTER DATABASE feature_sources SET timezone TO 'America/New_York'")
            yield database


# A query of the user's own


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        (None, None, slice(0, 400)),
        ("2020-02-01", None, slice(31, 400)),
        ("2020-02-01", "2020-12-31", slice(31, 366)),
        ("20200201T00:00", "2020-12-31 00:00", slice(31, 366)),
        ("2020-02-01T02:00+02:00", "2020-12-31T23:00Z", slice(31, 366)),
        ("2020-02-01 00:00:00.000001", "2020-12-30T23:59:59.999999", slice(32, 365)),
    ],
)
@pytest.mark.parametrize("asset", [1, 12])
def test_a_join_with_a_forward_label_is_loaded_between_the_dates(
    db: SqlDatabase, asset: int, start: str | None, end: str | None, rows: slice
) -> None:
    loaded = db.load(str(asset), query=TWO_TABLES, start_date=start, end_date=end)

    expected = made(asset).iloc[rows]
    price = expected["price"].to_numpy()
    pd.testing.assert_frame_equal(
        loaded.drop(columns="target"), expected[["volume", "rsi_14", "macd"]], check_exact=True, check_freq=False
    )
    np.testing.assert_allclose(loaded["target"].iloc[:-7], price[7:] / price[:-7] - 1, rtol=1e-12)
    # What the dates leave out is not known yet.
    assert loaded["target"].iloc[-7:].isna().all()
    assert loaded.index.freq == "D"


def test_the_forward_label_is_stamped_when_it_is_known_and_the_purge_is_a_row_less(db: SqlDatabase) -> None:
    features = FeatureSpec(target="target", label_horizon=7)

    study = study_frame(db.load(query=TWO_TABLES, end_date="2021-01-31"), features)

    price = made(12).loc[:"2021-01-31", "price"].to_numpy()
    np.testing.assert_allclose(study["target"], price[7:] / price[:-7] - 1, rtol=1e-12)
    pd.testing.assert_index_equal(study.index, DAYS[7 : len(price)], check_names=False)
    folds = cut_folds(study.index, FoldSpec(n_folds=3, window="month"), lead=features.lead).folds
    assert [fold.validation_start - fold.train_stop for fold in folds] == [6, 6, 6]


def test_an_end_that_is_a_date_alone_is_its_whole_day(db: SqlDatabase) -> None:
    hours = "SELECT timestamp, price FROM ticks WHERE timestamp BETWEEN :start_date AND :end_date"
    db.run(
        "DROP TABLE IF EXISTS ticks",
        "CREATE TABLE ticks (timestamp TIMESTAMP, price DOUBLE PRECISION)",
        *(
            f"INSERT INTO ticks VALUES ('2020-01-0{day} {hour:02}:00:00', {day})"
            for day in (1, 2, 3)
            for hour in range(0, 24, 6)
        ),
    )

    loaded = db.load(query=hours, start_date="2020-01-02", end_date="2020-01-02")

    assert loaded.index.tolist() == [pd.Timestamp(2020, 1, 2, hour) for hour in (0, 6, 12, 18)]


@pytest.mark.parametrize("shape", ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"])
def test_text_of_any_length_lies_between_the_dates_in_sqlite(tmp_path: Path, shape: str) -> None:
    sqlite = SqlDatabase(f"sqlite:///{tmp_path / 'text.db'}")
    sqlite.run(
        "CREATE TABLE features (timestamp TEXT, x REAL)",
        *(f"INSERT INTO features VALUES ('{day.strftime(shape)}', 1.5)" for day in DAYS[:30]),
    )

    loaded = sqlite.load(
        query="SELECT * FROM features WHERE timestamp BETWEEN :start_date AND :end_date",
        start_date="2020-01-05",
        end_date="2020-01-20",
    )

    assert loaded.index.tolist() == list(DAYS[4:20])


def test_rows_that_a_query_gives_beyond_the_dates_are_cut_off(db: SqlDatabase) -> None:
    loaded = db.load(
        query="SELECT timestamp, price FROM prices WHERE id = :asset_id",
        start_date="2020-02-01",
        end_date="2020-02-10",
    )

    assert loaded.index.tolist() == list(DAYS[31:41])


def test_moments_with_a_zone_are_compared_in_utc(request: pytest.FixtureRequest) -> None:
    with postgresql_database(request.getfixturevalue("postgres_url"), "zoned_source") as database:
        database.run(
            "ALTER DATABASE zoned_source SET timezone TO 'America/New_York'",
            "CREATE TABLE zoned AS SELECT '2020-01-01 00:00+00'::timestamptz + n * interval '6 hours' AS timestamp, n "
            "FROM generate_series(0, 39) AS n",
        )
        loaded = database.load(
            query="SELECT * FROM zoned WHERE timestamp BETWEEN :start_date AND :end_date",
            start_date="2020-01-03",
            end_date="2020-01-04",
        )

    assert loaded["n"].tolist() == list(range(8, 16))
    assert loaded.index[0] == pd.Timestamp("2020-01-03")


def test_a_query_may_index_by_integers(db: SqlDatabase) -> None:
    db.run(
        "DROP TABLE IF EXISTS counted",
        "CREATE TABLE counted (step INTEGER, x DOUBLE PRECISION)",
        *(f"INSERT INTO counted VALUES ({step}, {step / 4})" for step in range(50)),
    )

    loaded = db.load(
        query="SELECT * FROM counted WHERE step BETWEEN :start_date AND :end_date",
        timestamp_column="step",
        start_date="10",
        end_date="19",
    )

    assert loaded.index.tolist() == list(range(10, 20))
    assert loaded["x"].tolist() == [step / 4 for step in range(10, 20)]


@pytest.mark.parametrize("asset_column", ["id", "coin"])
def test_the_assets_column_may_be_among_a_querys_and_is_dropped(db: SqlDatabase, asset_column: str) -> None:
    query = f"SELECT id AS {asset_column}, timestamp, price FROM prices WHERE id = :asset_id"

    assert list(db.load(query=query, asset_column=asset_column).columns) == ["price"]


@pytest.mark.parametrize(
    ("query", "kind", "said"),
    [
        (
            "SELECT id, timestamp, price FROM prices",
            DataError,
            "must return only rows of asset '12', and returns some of 1; bind the asset, as in WHERE id = :asset_id",
        ),
        ("SELECT price FROM prices", DatabaseError, "column 'timestamp' is not in the query: there are price; name it"),
        (
            "SELECT timestamp, price AS macd, volume AS macd FROM prices",
            UsageError,
            "each column once, and returns macd",
        ),
        (
            "SELECT * FROM prices AS p JOIN indicators AS i ON p.id = i.id AND p.timestamp = i.timestamp",
            UsageError,
            "JOIN ... USING (...)",
        ),
        ("SELECT timestamp, price FROM prices", DataError, "timestamps must be unique"),
        ("SELECT timestamp, price FROM prices WHERE id = 5", DataError, "returned no rows for asset '12'"),
        ("SELECT timestamp, price FROM rates", DatabaseError, "the query failed in "),
        ("SELECT timestamp, prize FROM prices", DatabaseError, "the query failed in "),
        ("SELECT timestamp price FROM prices)", DatabaseError, "the query failed in "),
    ],
    ids=["others", "no timestamp", "doubled", "doubled by a join", "all assets", "empty", "table", "column", "syntax"],
)
def test_what_is_wrong_with_a_query_is_said_in_one_line(
    db: SqlDatabase, query: str, kind: type[KallosError], said: str
) -> None:
    assert said in db.refusal(kind, query=query, asset_column="id")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 WHERE id = :asset", "only :asset_id, :start_date and :end_date, not :asset"),
        (
            "SELECT 1 WHERE id=:asset_id AND x=:End_Date",
            "only :asset_id, :start_date and :end_date, not :End_Date",
        ),
        ("SELECT 1; DROP TABLE prices", "must be one statement"),
        ("SELECT ';' ; -- end\n SELECT 2;", "must be one statement"),
        (" ;", "is empty"),
        ("-- nothing\n /* at all; */", "is empty"),
    ],
)
def test_a_query_of_another_form_is_refused_before_any_database_is_asked(query: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^query must ") as caught:
        parse_spec(DataSpec, {"asset_id": "12", "query": query})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_colons_and_semicolons_in_strings_names_and_comments_are_left_alone(db: SqlDatabase) -> None:
    query = """
        /* :one; */ SELECT timestamp, CASE WHEN ':two; 100%' = ':two; 100%' THEN 2.5 END AS ":three; %(x)s",
        length('it''s \\:x') AS "n.o" -- :four;
        FROM prices WHERE id=:asset_id -- :five"""

    loaded = db.load(query=query)

    assert list(loaded.columns) == [":three; %(x)s", "n.o"]
    assert set(loaded[":three; %(x)s"].astype(float)) == {2.5}
    assert set(loaded["n.o"]) == {8}


def test_casts_slices_and_quoted_text_of_postgresql_are_left_alone(postgres_url: str) -> None:
    query = r"""
        SELECT '2020-01-01'::date + n AS timestamp, (ARRAY[1, 2, 3])[:2] AS a, $$:one;$$ AS b, $x$:two$x$ AS c,
        E'\':three;' AS d, 1.25::numeric AS e FROM generate_series(0, 3) AS n WHERE :asset_id = '12'
    """
    url = postgres_url

    loaded = load_features_from_db(url, "12", query=query)

    assert loaded.iloc[0].tolist() == [[1, 2], ":one;", ":two", "':three;", 1.25]
    assert loaded["e"].dtype == np.float64


# Where a query is given


def test_a_query_file_beside_the_study_becomes_part_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "own.sql").write_text(TWO_TABLES)
    file = tmp_path / "study.toml"
    file.write_text('[data]\nasset_id = "12"\nquery_file = "sql/own.sql"\n')

    spec = parse_tune_spec(read_study_file(file))

    assert spec.data.query == TWO_TABLES[: TWO_TABLES.rindex(";")]
    assert TuneSpec.model_validate_json(spec.model_dump_json()) == spec
    assert DataSpec.model_validate(spec.data.model_dump()) == spec.data


def test_the_flag_of_a_query_file_is_laid_over_the_study(tmp_path: Path) -> None:
    (tmp_path / "own.sql").write_text("SELECT 1")

    values = nested(list(flags_of(TuneSpec, "Study")), {"query_file": tmp_path / "own.sql"})

    assert values == merge(values, {"data": {"query": "SELECT 1"}})


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('query_file = "own.sql"\nquery = "SELECT 1"', "remove data.query or data.query_file"),
        ('query_file = "none.sql"', "a query file must be readable: "),
        ('query_file = "binary.sql"', "a query file must be UTF-8 text: "),
        ("query_file = 3", "data.query_file is not a field"),
        ('query_file = "own.sql"\nfeatures_table = "daily"', "remove features_table 'daily' or the query"),
    ],
)
def test_a_query_file_that_cannot_be_taken_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "own.sql").write_text("SELECT 1")
    (tmp_path / "binary.sql").write_bytes(b"\xff\xfe\x00")
    file = tmp_path / "study.toml"
    file.write_text(f'[data]\nasset_id = "12"\n{lines}\n')

    with pytest.raises(UsageError, match=r"^[^\n]*$") as caught:
        parse_tune_spec(read_study_file(file))
    assert said in str(caught.value)


# A table of one asset


def test_a_table_without_a_column_of_assets_is_read_when_it_is_said_to_hold_one(db: SqlDatabase) -> None:
    db.run("DROP VIEW IF EXISTS solo", "CREATE VIEW solo AS SELECT timestamp, price FROM prices WHERE id = 12")

    assert "give `single_asset`" in db.refusal(DatabaseError, features_table="solo")
    loaded = db.load("SPX", features_table="solo", single_asset=True, end_date="2020-01-31")

    pd.testing.assert_frame_equal(loaded, made(12)[["price"]].iloc[:31], check_exact=True)
    assert "go from 2020" in db.refusal(DataError, features_table="solo", single_asset=True, end_date="2019-01-31")


def test_a_table_of_one_asset_has_no_column_of_assets(db: SqlDatabase) -> None:
    line = db.refusal(UsageError, features_table="prices", single_asset=True, asset_column="id")
    assert "table 'prices' has 'id'; leave out `single_asset`" in line


def test_an_empty_table_of_one_asset_is_said_to_be_empty(db: SqlDatabase) -> None:
    db.run("DROP TABLE IF EXISTS bare", "CREATE TABLE bare (timestamp TIMESTAMP, x DOUBLE PRECISION)")

    assert "table 'bare' of " in db.refusal(DataError, features_table="bare", single_asset=True)


# Columns


def test_only_the_columns_that_are_asked_for_are_taken(features: pd.DataFrame) -> None:
    study = study_frame(features, FeatureSpec(columns=("r*", "macd"), exclude=("roc*",)))
    assert list(study.columns) == ["log_return_close", "rsi_14", "macd"]

    with pytest.raises(DataError, match="'rsy' in 'columns' matches none; there are log_return_close,"):
        study_frame(features, FeatureSpec(columns=("rsy",)))


# Reading without writing


@pytest.mark.parametrize("query", ["INSERT INTO prices (id) VALUES (3)", "DELETE FROM prices", "PRAGMA user_version"])
def test_a_query_that_is_no_select_is_refused(db: SqlDatabase, query: str) -> None:
    assert "it must be one SELECT that only reads" in db.refusal(DatabaseError, query=query)
    assert db.rows("SELECT count(*) FROM prices") == [(800,)]


def test_what_reads_a_sqlite_file_cannot_write_to_it(tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path / 'a b?%#.db'.replace('?', '')}")
    database.fill_two_tables()
    file = next(tmp_path.iterdir())
    before = file.read_bytes(), file.stat().st_mtime_ns

    assert len(database.load(features_table="prices", asset_column="id")) == 400

    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "query",
    [
        "WITH x AS (INSERT INTO prices (id) VALUES (3) RETURNING timestamp) SELECT * FROM x",
        "SELECT add_price() AS timestamp",
        "SELECT set_config('transaction_read_only', 'off', true) AS timestamp, add_price()",
    ],
)
def test_a_select_that_writes_in_postgresql_is_refused(postgres_url: str, query: str) -> None:
    with postgresql_database(postgres_url, "read_only_source") as database:
        database.fill_two_tables()
        database.run(
            "CREATE FUNCTION add_price() RETURNS timestamp LANGUAGE SQL VOLATILE AS "
            "$$INSERT INTO prices (id) VALUES (3) RETURNING timestamp$$"
        )

        assert "the query failed in " in database.refusal(DatabaseError, query=query)
        assert database.rows("SELECT count(*) FROM prices") == [(800,)]


def test_a_store_that_has_read_can_write(db: SqlDatabase, features: pd.DataFrame) -> None:
    spec = DataSpec(asset_id="12", features_table="prices", asset_column="id")
    with FeatureStore(db.url) as store:
        store.read(spec)
        store.write({"BTC": features}, table_name="written")
        store.read(spec)
        written = store.load(DataSpec(asset_id="BTC", features_table="written"))
    db.run("DROP TABLE written")

    pd.testing.assert_frame_equal(written, features, check_exact=True)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Let nothing be written into the folder, not even by root."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        for each in (folder, *folder.parents[: len(folder.parents) - 2]):
            each.chmod(each.stat().st_mode | 0o055)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_file_in_wal_mode_in_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    folder.mkdir()
    database = SqlDatabase(f"sqlite:///{folder / 'own.db'}")
    database.fill_two_tables()
    with sqlite3.connect(folder / "own.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    with without_rights(folder):
        line = database.refusal(DatabaseError, features_table="prices", asset_column="id")

    assert "it is in WAL mode, which needs a writable folder" in line


def test_a_file_whose_last_write_was_cut_short_is_named_with_the_remedy(tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path / 'own.db'}")
    database.fill_two_tables()
    writing = sqlite3.connect(tmp_path / "own.db")
    writing.execute("PRAGMA cache_size = 2")
    writing.execute("UPDATE prices SET price = 0")
    (tmp_path / "killed").mkdir()
    for part in ("own.db", "own.db-journal"):
        shutil.copy(tmp_path / part, tmp_path / "killed" / part)
    writing.rollback()
    writing.close()
    killed = SqlDatabase(f"sqlite:///{tmp_path / 'killed' / 'own.db'}")

    line = killed.refusal(DatabaseError, features_table="prices", asset_column="id")

    assert "a write to it was interrupted" in line
    # Whatever may write undoes it.
    assert killed.rows("SELECT min(price) > 0 FROM prices") == [(1,)]
    assert len(killed.load(features_table="prices", asset_column="id")) == 400


# Time


@pytest.mark.parametrize("kind", ["query", "view"])
def test_an_answer_that_takes_too_long_is_given_up_with_the_remedy(db: SqlDatabase, kind: str) -> None:
    endless = (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) AS timestamp, 12 AS asset_id FROM n"
    )
    db.run("DROP VIEW IF EXISTS endless", f"CREATE VIEW endless AS {endless}")
    source = {"query": endless} if kind == "query" else {"features_table": "endless"}

    line = db.refusal(DatabaseError, timeout=0.2, **source)

    assert "did not answer within 0.2 s" in line
    assert "raise KALLOS_DB_TIMEOUT" in line


def test_the_timeout_is_a_setting_of_the_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.read().db_timeout == 300
    monkeypatch.setenv("KALLOS_DB_TIMEOUT", "2.5")
    assert Settings.read().db_timeout == 2.5
    monkeypatch.setenv("KALLOS_DB_TIMEOUT", "0")
    with pytest.raises(UsageError, match="db_timeout must be greater than 0"):
        Settings.read()


# Chunks


@pytest.mark.parametrize("source", ["table", "query"])
def test_rows_come_in_chunks_that_are_counted(db: SqlDatabase, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choices: dict[str, Any] = (
        {"features_table": "prices"} if source == "table" else {"query": "SELECT * FROM prices WHERE id = :asset_id"}
    )
    whole = db.load(asset_column="id", **choices)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 150)
    counts: list[int] = []

    in_chunks = db.load(asset_column="id", on_rows=counts.append, **choices)

    assert counts == [150, 300, 400]
    pd.testing.assert_frame_equal(in_chunks, whole, check_exact=True)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_columns_type_does_not_depend_on_where_the_chunks_end(
    db: SqlDatabase, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "whole": ("INTEGER", ["1", "2", "3", "4", "5", "6"]),
        "late": ("INTEGER", ["NULL", "NULL", "NULL", "4", "5", "6"]),
        "gone": ("NUMERIC", ["1.5", "2.5", "3.5", "NULL", "NULL", "NULL"]),
        "never": ("NUMERIC", ["NULL"] * 6),
        "words": ("TEXT", ["NULL", "NULL", "'a'", "'b'", "NULL", "'c'"]),
        "flags": ("BOOLEAN", ["NULL", "NULL", "true", "false", "true", "NULL"]),
    }
    names = list(values)
    columns = [[f"'2020-01-0{day}'" for day in range(1, 7)], *(values[name][1] for name in names)]
    db.run(
        "DROP TABLE IF EXISTS kinds",
        f"CREATE TABLE kinds (timestamp TIMESTAMP, {', '.join(f'{name} {values[name][0]}' for name in names)})",
        *(f"INSERT INTO kinds VALUES ({', '.join(row)})" for row in zip(*columns, strict=True)),
    )
    whole = db.load(features_table="kinds", single_asset=True)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", size)

    in_chunks = db.load(features_table="kinds", single_asset=True)

    pd.testing.assert_frame_equal(in_chunks, whole, check_exact=True)
    assert whole.dtypes[["whole", "late", "gone", "never"]].astype(str).tolist() == ["int64", *["float64"] * 3]


def test_reading_takes_little_more_memory_than_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    file = tmp_path / "long.db"
    with sqlite3.connect(file) as connection:
        connection.execute(f"CREATE TABLE features (timestamp INTEGER, {', '.join(f'x{i} REAL' for i in range(10))})")
        rows = ((step, *(step / 4 + i for i in range(10))) for step in range(40_000))
        connection.executemany(f"INSERT INTO features VALUES ({', '.join('?' * 11)})", rows)
    connection.close()
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1000)

    with FeatureStore(f"sqlite:///{file}") as store:
        store.read(DataSpec(asset_id="A", single_asset=True, end_date="9"))
        tracemalloc.start()
        try:
            rows = store.read(DataSpec(asset_id="A", single_asset=True))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert len(rows) == 40_000
    assert peak < 1.5 * rows.memory_usage().sum()
