"""`kallos-run ingest`, from files to SQLite and PostgreSQL: all rows or none, to the bit, whatever they are called."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import make_url, text

from flows.commands.ingest import ingest
from kallos.errors import DatabaseError, DataError, KallosError, UsageError
from kallos.features.files.columns import COLUMNS
from kallos.features.files.indicators import compute_indicators
from kallos.features.store import FeatureStore
from kallos.features.writing import Written, write_features
from kallos.specs.data import DataSpec
from tests.databases import SqlDatabase, postgresql_database

DAYS = pd.date_range("2024-01-01", periods=5, name="timestamp", unit="ns")
KEY = "PRIMARY KEY (asset_id, timestamp)"
NASTY = [
    'x"; DROP TABLE features; --',
    "x'; DROP TABLE features; --",
    "a%b %s %(c)s :d ?",
    "a.b",
    "Größe €",
    "select",
    "back\\slash",
    "(a)",
    "[b]",
    "`c`",
    "tab\there",
]


class Base(SqlDatabase):
    """One test's own database, empty at first."""

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def load(self, asset_id: str, table: str = "features") -> pd.DataFrame:
        with FeatureStore(self.url) as store:
            return store.load(DataSpec(asset_id=asset_id, features_table=table, frequency="sessions"))


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> Base:
    return request.getfixturevalue(request.param)


@pytest.fixture
def sqlite(tmp_path: Path) -> Base:
    return Base(f"sqlite:///{tmp_path / 'features.db'}")


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Base]:
    with postgresql_database(postgres_url, "ingest") as made:
        yield Base(made.url)


def frame(values: list[float] | np.ndarray, name: str = "x") -> pd.DataFrame:
    return pd.DataFrame({name: np.asarray(values, np.float64)}, index=DAYS[: len(values)])


def own(path: Path, values: list[object], header: str = "date,x") -> Path:
    rows = [f"{day:%Y-%m-%d},{value}" for day, value in zip(DAYS, values, strict=False)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def bars(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n_rows)))
    return pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=n_rows, freq="h").strftime("%Y-%m-%dT%H:%M:%S"),
            "open": close * rng.uniform(0.99, 1.01, n_rows),
            "high": close * 1.02,
            "low": close / 1.02,
            "close": close,
            "volume": rng.integers(1_000, 9_000, n_rows).astype(float),
        }
    )


# Values


def test_values_come_back_to_the_bit_whether_they_are_new_or_replaced(db: Base) -> None:
    rng = np.random.default_rng(7)
    index = pd.date_range("1999-12-31 23:59:59.123456", periods=30_000, freq="7min", name="timestamp", unit="ns")
    numbers = rng.integers(0, 2**64, (len(index), 4), np.uint64).view(np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    numbers[:4, 0] = [5e-324, np.finfo(float).max, 0.1 + 0.2, 1 / 3]
    features = pd.DataFrame(numbers, index=index, columns=list("abcd"))

    for values in (features, features.iloc[::-1].set_axis(index)):
        write_features({"BTC": values, "ETH": values.iloc[:3]}, db.url)

        for asset, rows in (("BTC", values), ("ETH", values.iloc[:3])):
            loaded = db.load(asset)
            pd.testing.assert_index_equal(loaded.index, rows.index, exact=False)
            np.testing.assert_array_equal(loaded.isna(), rows.isna())
            known = rows.notna().to_numpy()
            assert loaded.to_numpy()[known].tobytes() == (rows.to_numpy() + 0.0)[known].tobytes()


def test_missing_values_are_null_and_zero_has_no_sign(db: Base) -> None:
    write_features({"BTC": frame([np.nan, -0.0, 1.0])}, db.url)

    assert db.run("SELECT count(*) FROM features WHERE x IS NULL") == [(1,)]
    assert not np.signbit(db.load("BTC")["x"].iloc[1])


# Names


@pytest.mark.parametrize("name", NASTY)
def test_any_name_of_table_column_or_asset_is_only_a_name(db: Base, name: str) -> None:
    write_features({"BTC": frame([1, 2])}, db.url)
    table = name.replace(".", ",")

    for values in ([1.0, 2.0], [3.0, 4.0]):
        write_features({name: frame(values, name)}, db.url, table)

    assert db.load(name, table)[name].tolist() == [3, 4]
    assert db.load("BTC")["x"].tolist() == [1, 2]


def test_a_table_may_lie_in_a_schema_of_postgresql(postgresql: Base) -> None:
    postgresql.run('CREATE SCHEMA "My Schema"')

    for _ in range(2):
        write_features({"BTC": frame([1, 2])}, postgresql.url, "My Schema.own")

    assert postgresql.load("BTC", "My Schema.own")["x"].tolist() == [1, 2]


def test_a_schema_that_there_is_not_is_named_with_the_one_that_may_be_meant(postgresql: Base) -> None:
    postgresql.run("CREATE SCHEMA Research")

    with pytest.raises(DatabaseError, match=r"'Research' does not exist: did you mean 'research'\?") as caught:
        write_features({"BTC": frame([1, 2])}, postgresql.url, "Research.own")

    assert "check that it runs" not in str(caught.value)
    write_features({"BTC": frame([1, 2])}, postgresql.url, "research.own")
    assert postgresql.load("BTC", "research.own")["x"].tolist() == [1, 2]


@pytest.mark.parametrize("name", ["ä" * 32, "x" * 64])
def test_names_longer_than_postgresql_keeps_are_refused(postgresql: Base, name: str) -> None:
    for features, table in ((frame([1], name), "features"), (frame([1]), name)):
        with pytest.raises(UsageError, match=rf"at most 63 bytes: (table|column) '{name}' has 64; rename it"):
            write_features({"BTC": features}, postgresql.url, table)
    write_features({"BTC": frame([1], name[:-1])}, postgresql.url)

    assert postgresql.load("BTC").columns.tolist() == [name[:-1]]


@pytest.mark.parametrize(("backend", "most"), [("sqlite", 2000), ("postgresql", 1600)])
def test_more_columns_than_a_table_has_are_refused(request: pytest.FixtureRequest, backend: str, most: int) -> None:
    db: Base = request.getfixturevalue(backend)
    wide = pd.DataFrame(np.nan, index=DAYS, columns=[f"c{at}" for at in range(most - 1)])

    with pytest.raises(DatabaseError, match=f"has at most {most} columns"):
        write_features({"BTC": wide}, db.url)
    write_features({"BTC": wide.iloc[:, 1:]}, db.url)

    assert db.run("SELECT count(*) FROM features") == [(5,)]


def test_the_widest_row_that_postgresql_holds_is_written_and_a_wider_one_refused(postgresql: Base) -> None:
    def wide(n_columns: int) -> pd.DataFrame:
        return pd.DataFrame(0.5, index=DAYS, columns=[f"c{at}" for at in range(n_columns)])

    # 8160 bytes: a header of 24, the asset and the timestamp in 16, and 8 a number.
    with pytest.raises(DatabaseError, match="a PostgreSQL row holds at most 8160 bytes"):
        write_features({"BTC": wide(1016)}, postgresql.url)
    write_features({"BTC": wide(1015)}, postgresql.url)

    assert postgresql.load("BTC").shape == (5, 1015)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_is_none_is_refused(db: Base, name: str) -> None:
    with pytest.raises(UsageError, match="must have a name"):
        write_features({"BTC": frame([1], name)}, db.url)


# Rows that are there already


def test_rows_that_are_there_are_replaced_skipped_or_make_all_fail(db: Base) -> None:
    old, new = frame([1, 2, 3]), frame([10, 20, 30, 40, 50])
    write_features({"BTC": old, "ETH": old}, db.url)

    with pytest.raises(DataError) as caught:
        write_features({"NEW": new, "BTC": new.iloc[1:], "ETH": new}, db.url, on_conflict="fail")
    assert "BTC at 2024-01-02 00:00:00, BTC at 2024-01-03 00:00:00, ETH at 2024-01-01 00:00:00" in str(caught.value)
    assert "nothing was written, choose replace or skip" in str(caught.value)
    assert db.run("SELECT count(*) FROM features") == [(6,)]

    written = write_features({"BTC": new}, db.url, on_conflict="skip")
    assert written == [Written("BTC", 5, 2, DAYS[0], DAYS[4], 1)]
    assert db.load("BTC")["x"].tolist() == [1, 2, 3, 40, 50]

    written = write_features({"BTC": new}, db.url, on_conflict="replace")
    assert written == [Written("BTC", 5, 0, DAYS[0], DAYS[4], 1)]
    assert db.load("BTC")["x"].tolist() == [10, 20, 30, 40, 50]

    assert write_features({"NEW": new}, db.url, on_conflict="fail")[0].new_rows == 5
    assert db.load("ETH")["x"].tolist() == [1, 2, 3]


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(db: Base, tmp_path: Path) -> None:
    write_features({"BTC": frame([1, 2, 3])}, db.url)
    before = db.run("SELECT * FROM features")

    written = write_features({"BTC": frame([9, 9, 9, 9])}, db.url, dry_run=True)
    write_features({"BTC": frame([9, 9])}, db.url, "other", dry_run=True)
    write_features({"BTC": frame([9, 9])}, f"sqlite:///{tmp_path / 'none' / 'new.db'}", dry_run=True)

    assert written == [Written("BTC", 4, 1, DAYS[0], DAYS[3], 1)]
    assert db.run("SELECT * FROM features") == before
    assert not (tmp_path / "none").exists()
    with pytest.raises(DatabaseError, match="'other' is not in"):
        db.load("BTC", "other")


def test_a_write_that_breaks_half_way_leaves_not_even_the_table(db: Base) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        write_features({"BTC": frame([1, 2]), "ETH": frame([1]).astype(object).replace(1, "word")}, db.url, "new")
    write_features({"BTC": frame([1, 2])}, db.url)

    with pytest.raises(DatabaseError, match="'new' is not in"):
        db.load("BTC", "new")


def test_doubled_timestamps_are_refused(db: Base) -> None:
    with pytest.raises(DataError, match="'BTC' has 2024-01-02 00:00:00 more than once"):
        write_features({"BTC": frame([1, 2, 3]).set_axis(DAYS[[0, 1, 1]])}, db.url)


# Tables of a user's own


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("asset_id TEXT, timestamp TIMESTAMP, x DOUBLE PRECISION", "must have a unique key on asset_id and timestamp"),
        (
            "asset_id TEXT, timestamp TIMESTAMP, x INTEGER, PRIMARY KEY (asset_id, timestamp)",
            "must be double precision",
        ),
        (
            "asset_id INTEGER, timestamp TIMESTAMP, x DOUBLE PRECISION, PRIMARY KEY (asset_id, timestamp)",
            "must be text",
        ),
        ("asset_id TEXT, timestamp TEXT, x DOUBLE PRECISION, PRIMARY KEY (asset_id, timestamp)", "must be timestamp"),
    ],
)
def test_a_table_that_would_change_the_values_is_refused(db: Base, columns: str, said: str) -> None:
    db.run(f"CREATE TABLE features ({columns})")

    with pytest.raises(DatabaseError, match=said):
        write_features({"BTC": frame([1, 2])}, db.url)
    assert db.run("SELECT * FROM features") == []


@pytest.mark.parametrize("timestamp", ["2024-01-01", "2024-01-01T00:00:00.000000"])
def test_sqlite_timestamps_in_another_form_are_not_doubled(sqlite: Base, timestamp: str) -> None:
    sqlite.run("CREATE TABLE features (asset_id TEXT, timestamp TIMESTAMP, x DOUBLE, UNIQUE (asset_id, timestamp))")
    sqlite.run(f"INSERT INTO features VALUES ('BTC', '{timestamp}', 1)")

    with pytest.raises(DatabaseError, match=f"'{timestamp}' for asset 'BTC'"):
        write_features({"BTC": frame([1, 2])}, sqlite.url)


# The command


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_prices_of_a_folder_become_features_of_each_asset(
    db: Base, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()
    for seed in range(12):
        bars(60, seed).to_csv(folder / f"A{seed:02d}.csv", index=False)

    ingest(folder, db_url=db.url)

    lines = said(capsys)
    assert lines[0] == "12 assets: 324 rows of 26 features, 2024-01-02 to 2024-01-03 (324 new, 0 updated)"
    assert lines[1].startswith("A00: 27 rows")
    assert lines[6] == "and 7 more assets"
    prices = bars(60, 11).set_index("date")
    expected = compute_indicators(prices.set_axis(pd.to_datetime(prices.index)))
    assert db.load("A11").to_numpy().tobytes() == (expected.to_numpy() + 0.0).tobytes()


def test_a_bad_row_in_the_last_file_keeps_all_files_out(db: Base, tmp_path: Path, home: Path) -> None:
    good, bad = own(tmp_path / "a.csv", [1, 2]), own(tmp_path / "b.csv", [1, "x"])
    ingest(own(tmp_path / "c.csv", [7, 7]), as_="features", asset_id="OLD", db_url=db.url)

    with pytest.raises(KallosError, match=r"b.csv, line 3: asset 'b' has x 'x'"):
        ingest(good, bad, as_="features", db_url=db.url)

    assert db.run("SELECT DISTINCT asset_id FROM features") == [("OLD",)]


def test_bad_rows_are_listed_and_the_others_written(
    db: Base, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own(tmp_path / "own.csv", [1, "x", 3, "inf", 5])

    ingest(path, as_="features", asset_id="BTC", skip_bad_rows=True, features_table="mine", db_url=db.url)

    lines = said(capsys)
    assert lines[:5] == [
        "2 bad rows left out:",
        f"  {path}, 1 row: features must be numbers",
        "    line 3: asset 'BTC' has x 'x' at 2024-01-02 00:00:00",
        f"  {path}, 1 row: features must be finite",
        "    line 5: asset 'BTC' has x inf at 2024-01-04 00:00:00",
    ]
    assert lines[5] == "BTC: 3 rows of 1 feature, 2024-01-01 to 2024-01-05 (3 new, 0 updated)"
    assert db.load("BTC", "mine")["x"].tolist() == [1, 3, 5]


def left_out(db: Base, table: str = "features", asset_id: str = "BTC") -> dict[str, str]:
    with FeatureStore(db.url) as store:
        found = store.left_out(DataSpec(asset_id=asset_id, features_table=table))
    return {str(timestamp): rule for timestamp, rule in found.items()}


@pytest.mark.parametrize("name", ["mine", "my % :table"])
def test_rows_that_are_left_out_are_kept_by_their_timestamps_until_they_come(
    db: Base, tmp_path: Path, home: Path, name: str
) -> None:
    def take(values: list[object], asset_id: str = "BTC", table: str = name, **choices: Any) -> None:
        path = own(tmp_path / "own.csv", values)
        ingest(
            path, as_="features", asset_id=asset_id, features_table=table, skip_bad_rows=True, db_url=db.url, **choices
        )

    assert left_out_of_nothing(db, name) == {}
    take([1, "x", 3, "inf", 5])
    take([1, "x"], asset_id="ETH")
    take([1, "x"], table="others")
    numbers, finite = "features must be numbers", "features must be finite"
    assert left_out(db, name) == {"2024-01-02 00:00:00": numbers, "2024-01-04 00:00:00": finite}

    take([1, "x", "x", "x"])
    # The third is there from before.
    assert left_out(db, name) == {"2024-01-02 00:00:00": numbers, "2024-01-04 00:00:00": numbers}
    take([1, 2, 3, 4], dry_run=True)
    assert len(left_out(db, name)) == 2
    take([1, 2])
    assert left_out(db, name) == {"2024-01-04 00:00:00": numbers}
    assert left_out(db, name, "ETH") == left_out(db, "others") == {"2024-01-02 00:00:00": numbers}
    if db.url.startswith("sqlite"):
        assert left_out(db, name.upper()) == left_out(db, name)


def left_out_of_nothing(db: Base, name: str) -> dict[str, str]:
    """Return what is left out of a table that is the user's own."""
    write_features({"BTC": frame([9])}, db.url, name)
    return left_out(db, name)


def test_of_rows_with_one_timestamp_none_is_kept_and_the_timestamp_is_noted(
    db: Base, tmp_path: Path, home: Path
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-02,3\n2024-01-03,4\n2024-01-03,4\n2024-01-04,y\n2024-01-04,5\n"
    )

    ingest(path, as_="features", asset_id="BTC", skip_bad_rows=True, db_url=db.url)

    assert left_out(db) == {"2024-01-02 00:00:00": "timestamps must be unique, and another row has other values"}


def test_a_reader_who_may_not_see_what_is_left_out_is_told_nothing(
    postgresql: Base, tmp_path: Path, home: Path
) -> None:
    path = own(tmp_path / "own.csv", [1, "x", 3, 4])
    ingest(path, as_="features", asset_id="BTC", skip_bad_rows=True, db_url=postgresql.url)
    postgresql.run("CREATE ROLE reader LOGIN")
    try:
        postgresql.run("GRANT SELECT ON features TO reader")
        reader = Base(make_url(postgresql.url).set(username="reader").render_as_string(hide_password=False))

        assert len(left_out(postgresql)) == 1
        assert left_out(reader) == {}
        assert len(reader.load("BTC")) == 3
    finally:
        postgresql.run("DROP OWNED BY reader")
        postgresql.run("DROP ROLE reader")


# Bars that begin behind stored rows


def prices(path: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(path, index=False)
    return path


def test_a_short_file_over_a_full_history_is_refused_and_changes_nothing(db: Base, tmp_path: Path, home: Path) -> None:
    history = bars(900)
    ingest(prices(tmp_path / "full.csv", history[:-5]), asset_id="BTC", db_url=db.url)
    before = db.load("BTC")

    # Over stored rows alone, on to new ones, and behind the last of them.
    for rows in (history[-85:-5], history[-300:], history[-40:], history[-404:]):
        for on_conflict in ("replace", "skip"):
            with pytest.raises(DataError, match=r"the whole history, or 400 bars before .* `start_anew`"):
                ingest(prices(tmp_path / "short.csv", rows), asset_id="BTC", db_url=db.url, on_conflict=on_conflict)
    later = history[-60:].assign(date=lambda rows: rows["date"].str.replace("2024", "2025"))
    with pytest.raises(DataError, match="33 before the first new row"):
        ingest(prices(tmp_path / "later.csv", later), asset_id="BTC", db_url=db.url)

    pd.testing.assert_frame_equal(db.load("BTC"), before, check_exact=True)


def test_a_short_file_with_400_bars_before_new_rows_has_the_indicators_of_the_whole_history(
    db: Base, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = bars(900)
    ingest(prices(tmp_path / "full.csv", history[:-5]), asset_id="BTC", db_url=db.url)
    before = db.load("BTC")
    said(capsys)

    ingest(prices(tmp_path / "short.csv", history[-410:]), asset_id="BTC", db_url=db.url)

    assert said(capsys)[0].endswith("(5 new, 5 updated; 367 before them unchanged)")
    loaded = db.load("BTC")
    expected = compute_indicators(history.set_axis(pd.to_datetime(history["date"])))
    pd.testing.assert_frame_equal(loaded[:-10], before[:-5], check_exact=True, check_freq=False)
    assert (((loaded - expected.to_numpy()) / expected.std().to_numpy()).abs().to_numpy() < 1e-9).all()


def test_a_short_file_is_written_as_it_is_if_that_is_asked_for(db: Base, tmp_path: Path, home: Path) -> None:
    history = bars(600)
    ingest(prices(tmp_path / "full.csv", history), asset_id="BTC", db_url=db.url)

    ingest(prices(tmp_path / "short.csv", history[-80:]), asset_id="BTC", db_url=db.url, start_anew=True)

    alone = compute_indicators(history[-80:].set_axis(pd.to_datetime(history["date"][-80:])))
    assert (db.load("BTC")[-47:].to_numpy() == alone.to_numpy()).all()


def test_a_longer_history_and_the_same_one_replace_all_rows(db: Base, tmp_path: Path, home: Path) -> None:
    history = bars(200)
    for rows in (history[100:], history[100:], history):
        ingest(prices(tmp_path / "bars.csv", rows), asset_id="BTC", db_url=db.url)

    expected = compute_indicators(history.set_axis(pd.to_datetime(history["date"])))
    assert db.load("BTC").to_numpy().tobytes() == (expected.to_numpy() + 0.0).tobytes()


# Days and sessions of intraday bars

NEW_YORK = "America/New_York"
SESSION = {"asset_id": "SPY", "resample": "1D", "days_in": NEW_YORK, "session": "09:30-16:00"}
HALF_DAY = "2024-11-29"


def session_bars(n_days: int) -> pd.DataFrame:
    """Return bars of a quarter of an hour of 1,000 trading days at most, in UTC, from 09:00 to 17:00 in New York."""
    days = pd.bdate_range("2021-01-04", periods=1_030)[-n_days:]
    local = [
        pd.date_range(
            day + pd.Timedelta(hours=9),
            day + pd.Timedelta(hours=13 if str(day.date()) == HALF_DAY else 17),
            freq="15min",
            inclusive="left",
        )
        for day in days
    ]
    moments = local[0].append(local[1:]).tz_localize(NEW_YORK).tz_convert("UTC")
    return bars(len(moments)).assign(date=moments.strftime("%Y-%m-%dT%H:%M:%SZ"))


def realised_by_pandas(rows: pd.DataFrame) -> pd.Series:
    local = rows.set_axis(pd.to_datetime(rows["date"]).dt.tz_convert(NEW_YORK).dt.tz_localize(None))
    local = local.between_time("09:30", "16:00", inclusive="left")
    day = local.index.normalize()
    base = local["close"].groupby(day).shift().fillna(local["open"])
    return (np.log(local["close"] / base) ** 2).groupby(day).sum()


def test_intraday_bars_become_sessions_with_indicators_and_realised_measures(
    db: Base, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = session_bars(1_000)
    is_early = history["date"] < "2024-12-13T18:00"

    ingest(prices(tmp_path / "bars.csv", history[is_early]), **SESSION, db_url=db.url)

    lines = said(capsys)
    assert lines[-4:-1] == [
        "rows are 1D of the session 09:30-16:00 in America/New_York, usually of 26 bars (--resample, --session, "
        "--days-in)",
        "last rows left out until later bars show that they are finished: SPY 2024-12-13 (last bar 12:45:00, usually "
        "not before 15:45:00)",
        "SPY: 966 rows of 31 features, 2021-04-01 to 2024-12-12 (966 new, 0 updated)",
    ]
    loaded = db.load("SPY")
    expected = realised_by_pandas(history)[loaded.index]
    np.testing.assert_allclose(loaded["realised_variance"], expected, rtol=1e-9)
    np.testing.assert_allclose(loaded["realised_volatility"] ** 2, expected, rtol=1e-9)
    assert loaded["n_bars"].value_counts().to_dict() == {26.0: len(loaded) - 1, 14.0: 1}
    assert loaded.loc[HALF_DAY, "n_bars"] == 14


def test_later_intraday_bars_with_400_days_before_them_append_days(
    db: Base, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = session_bars(500)
    is_early = history["date"] < "2024-12-10"
    ingest(prices(tmp_path / "bars.csv", history[is_early]), **SESSION, db_url=db.url)
    before = db.load("SPY")

    with pytest.raises(DataError, match="or 400 bars before the first row to write"):
        ingest(prices(tmp_path / "later.csv", history[-100 * 32 :]), **SESSION, db_url=db.url)
    # The file begins in the middle of a day.
    ingest(prices(tmp_path / "later.csv", history[-450 * 32 + 16 :]), **SESSION, db_url=db.url)

    loaded = db.load("SPY")
    pd.testing.assert_frame_equal(loaded[: len(before)], before, rtol=1e-9, check_freq=False)
    assert loaded.index[len(before) :].equals(pd.bdate_range("2024-12-10", loaded.index[-1]).as_unit(loaded.index.unit))
    np.testing.assert_allclose(loaded["realised_variance"], realised_by_pandas(history)[loaded.index], rtol=1e-9)


def test_the_list_of_columns_is_readable_on_80_columns_and_needs_no_input_or_database(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("KALLOS_DB_URL", "no url")

    ingest(columns=True)

    lines = said(capsys)
    assert max(map(len, lines)) <= 80
    named = [line.split()[0] for line in lines if line[:1].islower() and not line.startswith(("column", "more"))]
    assert named == [each.name for each in COLUMNS]
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ({"columns": True}, "shows the columns or takes inputs, not both"),
        ({"session": "09:30-16:00"}, "--session selects bars for --resample: give both"),
        ({"resample": "1D", "as_": "features"}, "makes bars of prices, not features"),
        ({"resample": "1W"}, "`resample` must be 1D or a part of a day such as 4h or 30min, not '1W'"),
        ({"resample": "1D", "session": "morning"}, "`session` must be two local times such as 09:30-16:00"),
        ({"resample": "1D", "days_in": "New York"}, "`days_in` must be a zone"),
        ({"resample": "1h"}, "bars must be shorter than `resample` 1h: the 60 of asset 'A' usually are 'h' apart"),
        (
            {"resample": "1D", "session": "09:30-09:45"},
            "must begin in the `session` 09:30-09:45 of UTC: none of the 60",
        ),
    ],
)
def test_flags_of_days_and_sessions_that_do_not_fit_are_refused(
    sqlite: Base, tmp_path: Path, home: Path, flags: dict[str, Any], rule: str
) -> None:
    with pytest.raises(KallosError, match=rule):
        ingest(prices(tmp_path / "A.csv", bars(60)), asset_id="A", db_url=sqlite.url, **flags)
    with pytest.raises(DatabaseError):
        sqlite.load("A")


def test_csv_comes_from_standard_input_too(
    sqlite: Base,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = own(tmp_path / "own.csv", [1, 2, 3]).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    ingest(Path("-"), as_="features", asset_id="BTC", db_url=sqlite.url, dry_run=True, on_conflict="skip")

    assert said(capsys) == [
        "BTC: 3 rows of 1 feature, 2024-01-01 to 2024-01-03 (3 new, 0 skipped)",
        f"nothing was written to {sqlite.url} (--dry-run)",
    ]
    assert not Path(make_url(sqlite.url).database or "").exists()


def test_what_was_found_out_of_files_is_said_once_for_all_that_are_alike(
    sqlite: Base, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        path = own(tmp_path / name, [1, 2])
        path.write_text(path.read_text().replace(",", ";"))
    numbers = tmp_path / "d.csv"
    numbers.write_text("date,x\n1717248600,1\n")

    ingest(tmp_path, as_="features", db_url=sqlite.url)

    assert said(capsys)[:2] == [
        f"{tmp_path / 'a.csv'} and 2 more: fields are separated by ';'",
        f"{numbers}: column 'date' is read as seconds since 1970 (--date-format epoch-s)",
    ]


def test_flags_say_how_files_are_laid_out(
    sqlite: Base, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.txt"
    path.write_text("made, by\nhand\n01.06.2024\t13:30\t1,5\tok\n")

    ingest(
        path,
        as_="features",
        asset_id="BTC",
        skip_lines=2,
        separator="tab",
        header="day,clock,x,note",
        timestamp_column="day,clock",
        date_format="%d.%m.%Y",
        decimal_comma=True,
        exclude=("note",),
        db_url=sqlite.url,
    )

    assert said(capsys)[1] == "BTC: 1 row of 1 feature, 2024-06-01 to 2024-06-01 (1 new, 0 updated)"
    assert sqlite.run("SELECT timestamp, x FROM features") == [("2024-06-01 13:30:00.000000", 1.5)]


def test_one_bad_row_is_counted_as_one(
    sqlite: Base, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(own(tmp_path / "own.csv", [1, "x", 3]), as_="features", asset_id="A", skip_bad_rows=True, db_url=sqlite.url)

    assert said(capsys)[0] == "1 bad row left out:"


@pytest.mark.parametrize("inputs", [[], ["--dry-runn"]])
def test_no_input_and_no_option_are_refused(home: Path, inputs: list[str]) -> None:
    with pytest.raises(UsageError):
        ingest(*map(Path, inputs))
