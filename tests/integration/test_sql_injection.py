"""Nothing but bound values and identifiers that the database has named reaches the server, and nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from kallos.errors import DatabaseError, KallosError, UsageError
from kallos.features.store import FeatureStore
from kallos.specs.data import DataSpec
from kallos.specs.study import parse_spec
from tests.databases import SqlDatabase, postgresql_database

# In every text that is tried, so that it is known again wherever it turns up.
MARK = "zq9"
CLASSICS = [
    "'; DROP TABLE prices; --",
    '"; DROP TABLE prices; --',
    "' OR '1'='1",
    "' OR 1=1 --",
    "1 OR 1=1",
    "' UNION SELECT * FROM indicators --",
    "') ; DELETE FROM prices; --",
    "'/**/OR/**/1=1#",
    "\\'; DROP TABLE prices; --",
    "\\",
    "''",
    "%27%20OR%201=1",
    "%s%(asset_id)s%%",
    ":asset_id",
    "?1 ?",
    "$1 $$; DROP TABLE prices $$",
    "{0}{asset}",
    "`; DROP TABLE prices; --",
    "]; DROP TABLE prices; --",
    "\x00'; DROP TABLE prices",
    "\n;\nDROP TABLE prices",
    "\u02bc; DROP TABLE prices --",
    "\uff07 OR 1=1",
    "1; ATTACH DATABASE 'other.db' AS other; --",
    "1; COPY prices TO '/tmp/prices'; --",
    "(SELECT pg_sleep(9))",
    "prices; PRAGMA writable_schema = 1",
    "x" * 5000 + "'",
]
TRIED = [text for classic in CLASSICS for text in (MARK + classic, classic + MARK)]
FIELDS = ["asset_id", "features_table", "timestamp_column", "asset_column", "start_date", "end_date"]
TABLES = {"indicators": 800, "prices": 800}
OF_PRICES = {"features_table": "prices", "asset_column": "id"}
QUERY = "SELECT * FROM prices WHERE id = :asset_id AND timestamp BETWEEN :start_date AND :end_date"

any_text = st.builds(lambda before, after: before + MARK + after, st.text(max_size=12), st.text(max_size=12))
of_sql = st.lists(st.sampled_from([*"'\"`;:%\\()[]$?-/* \x00", "--", "/*", "DROP TABLE prices", " OR 1=1", "x"])).map(
    lambda parts: MARK + "".join(parts)
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlDatabase]:
    """The two tables, which must be whole after each test."""
    if request.param == "sqlite":
        database = SqlDatabase(f"sqlite:///{tmp_path_factory.mktemp('injection') / 'own.db'}")
        database.fill_two_tables()
        yield database
    else:
        with postgresql_database(request.getfixturevalue("postgres_url"), "injection") as database:
            database.fill_two_tables()
            yield database


@pytest.fixture(scope="module")
def store(db: SqlDatabase) -> Iterator[FeatureStore]:
    with FeatureStore(db.url) as store:
        yield store


@pytest.fixture(autouse=True)
def all_is_still_there(db: SqlDatabase) -> Iterator[None]:
    yield
    known = (
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        if db.url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    assert [name for (name,) in db.rows(known)] == list(TABLES)
    for name, n_rows in TABLES.items():
        assert db.rows(f"SELECT count(*) FROM {name}") == [(n_rows,)]


@contextmanager
def heard() -> Iterator[list[str]]:
    """Yield the text of every statement that goes to a database meanwhile."""
    statements: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def attempt(store: FeatureStore, values: dict[str, Any]) -> list[str]:
    """Try to load what is not there, see it refused in one line, and return the statements that were sent."""
    with heard() as statements, pytest.raises(KallosError) as caught:
        store.load(parse_spec(DataSpec, {"asset_id": "12", **values}))
    assert "\n" not in str(caught.value)
    return statements


@pytest.mark.parametrize(
    ("source", "field"),
    [
        *((OF_PRICES, field) for field in FIELDS),
        *(({"query": QUERY}, field) for field in ("asset_id", "timestamp_column", "start_date", "end_date")),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_classics_are_values_or_unknown_names(store: FeatureStore, field: str, source: dict[str, str]) -> None:
    for text in TRIED:
        for statement in attempt(store, {**source, field: text}):
            assert MARK not in statement


@settings(max_examples=60)
@given(field=st.sampled_from(FIELDS), text=any_text | of_sql)
def test_any_text_is_a_value_or_an_unknown_name(store: FeatureStore, field: str, text: str) -> None:
    for statement in attempt(store, {**OF_PRICES, field: text}):
        assert MARK not in statement


@settings(max_examples=30)
@given(asset=any_text | of_sql)
def test_any_text_is_a_bound_value_of_a_query(store: FeatureStore, asset: str) -> None:
    query = "SELECT * FROM prices WHERE :asset_id = 'x'"
    for statement in attempt(store, {"query": query, "asset_id": asset}):
        assert MARK not in statement


@pytest.mark.parametrize(
    "name", [f'{MARK}"; DROP TABLE prices; --', f"{MARK}'%(x)s :y ?", f"{MARK}]`\\", f"{MARK} a b"]
)
def test_a_table_or_column_that_is_named_so_is_a_quoted_identifier(db: SqlDatabase, name: str) -> None:
    names = {part: f"{name} {part}" for part in ("timestamp", "coin", "x")}
    quoted = {part: '"' + each.replace('"', '""') + '"' for part, each in {**names, "view": name}.items()}
    execute(
        db,
        f"CREATE VIEW {quoted['view']} AS SELECT timestamp AS {quoted['timestamp']}, id AS {quoted['coin']}, "
        f"price AS {quoted['x']} FROM prices",
    )
    spec = DataSpec(asset_id="12", features_table=name, timestamp_column=names["timestamp"], asset_column=names["coin"])
    try:
        with FeatureStore(db.url) as store, heard() as statements:
            loaded = store.load(spec)
    finally:
        execute(db, f"DROP VIEW {quoted['view']}")

    assert list(loaded.columns) == [names["x"]]
    assert len(loaded) == 400
    for statement in statements:
        plain = statement.replace("%%", "%")
        for identifier in quoted.values():
            plain = plain.replace(identifier, "")
        assert MARK not in plain


def execute(db: SqlDatabase, statement: str) -> None:
    """Run a statement whose colons and percent signs mean nothing."""
    with db.connect() as connection:
        doubled = statement if connection.dialect.name == "sqlite" else statement.replace("%", "%%")
        connection.exec_driver_sql(doubled)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT timestamp, price FROM prices) AS features; DROP TABLE prices; SELECT * FROM (SELECT 1",
        "SELECT timestamp FROM prices; DROP TABLE prices",
        "DROP TABLE prices",
        "INSERT INTO prices (id) VALUES (3)",
        "INSERT INTO prices (id) VALUES (3) RETURNING timestamp",
        "WITH gone AS (DELETE FROM prices RETURNING *) SELECT * FROM gone",
        "WITH more AS (INSERT INTO prices (id) VALUES (3) RETURNING timestamp) SELECT * FROM more",
        "SELECT timestamp FROM prices) AS features, (DELETE FROM prices RETURNING *",
        "SELECT timestamp INTO stolen FROM prices",
        "CREATE TABLE stolen AS SELECT * FROM prices",
        "ATTACH DATABASE 'stolen.db' AS stolen",
        "PRAGMA query_only = OFF",
        "VACUUM INTO 'stolen.db'",
        "COPY prices TO '/tmp/stolen'",
        "SET default_transaction_read_only = off",
        "COMMIT",
    ],
)
def test_a_query_that_would_write_or_is_no_select_is_refused_in_one_line(store: FeatureStore, query: str) -> None:
    with pytest.raises((DatabaseError, UsageError)) as caught:
        store.load(parse_spec(DataSpec, {"asset_id": "12", "query": query}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("which", ["start_date", "end_date"])
def test_a_date_that_is_none_never_reaches_a_query(store: FeatureStore, which: str) -> None:
    for text in TRIED:
        assert not attempt(store, {"query": QUERY, which: text})
