from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from kallos.errors import DatabaseError
from kallos.features.databases import parse_url
from kallos.models.forecast_table import forecast_rows, write_forecasts
from kallos.models.forecasting import Forecasts

DAY = Forecasts(
    model_id="gru-ABC-1",
    asset_id="ABC",
    targets=("log_return_close",),
    as_of="2024-01-02T00:00:00",
    target_times=("2024-01-03T00:00:00", None),
    point=np.array([[0.1], [-0.2]]),
    quantiles=np.array([[[0.1]], [[-0.2]]]),
    levels=(0.5,),
    by_member={"3-1": np.array([[0.1], [-0.2]])},
    in_sample=False,
)


def of_points(forecasts, *point):
    return replace(forecasts, point=np.array(point)[:, None], quantiles=np.array(point)[:, None, None])


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'features.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def table(url):
    yield "made_here"
    execute(url, "DROP TABLE IF EXISTS made_here")


def execute(url: str, statement: str) -> list:
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        rows = done.all() if done.returns_rows else []
    engine.dispose()
    return [tuple(row) for row in rows]


def rows_in(url: str) -> list:
    columns = "model_id, as_of, step, target_time, value"
    rows = execute(url, f"SELECT {columns} FROM made_here ORDER BY model_id, as_of, step")
    return [
        tuple(datetime.fromisoformat(each) if str(each).startswith("20") and isinstance(each, str) else each
              for each in row) for row in rows
    ]  # fmt: skip


def test_a_second_run_replaces_the_same_rows_and_leaves_the_others(url, table):
    assert write_forecasts(DAY, url, table) == 2
    write_forecasts(replace(DAY, model_id="gru-ABC-2"), url, table)
    write_forecasts(of_points(DAY, 0.3, 0.4), url, table)
    write_forecasts(of_points(DAY, 0.3, 0.4), url, table)
    first, second, third = datetime(2024, 1, 2), datetime(2024, 1, 3), None
    assert rows_in(url) == [
        ("gru-ABC-1", first, 1, second, 0.3),
        ("gru-ABC-1", first, 2, third, 0.4),
        ("gru-ABC-2", first, 1, second, 0.1),
        ("gru-ABC-2", first, 2, third, -0.2),
    ]


def test_a_write_that_is_refused_changes_nothing(url, table):
    write_forecasts(DAY, url, table)
    before = rows_in(url)
    with pytest.raises(DatabaseError):
        write_forecasts(replace(DAY, levels=(0.5, None), quantiles=np.full((2, 1, 2), 0.9)), url, table)
    assert rows_in(url) == before


def test_a_table_of_another_shape_or_kind_of_timestamps_is_refused(url, table):
    write_forecasts(DAY, url, table)
    with pytest.raises(DatabaseError, match="'made_here' has timestamps, while these rows are indexed by integers"):
        write_forecasts(replace(DAY, as_of=17, target_times=(18, 19)), url, table)
    execute(url, "DROP TABLE made_here")
    execute(url, "CREATE TABLE made_here (model_id TEXT PRIMARY KEY, value FLOAT)")
    with pytest.raises(
        DatabaseError, match="'made_here' lacks as_of, target, step, quantile, target_time: choose another"
    ):
        write_forecasts(DAY, url, table)


def test_a_table_of_another_key_is_refused(url, table):
    columns = "model_id TEXT, as_of TIMESTAMP, target TEXT, step INTEGER, quantile FLOAT, target_time TIMESTAMP"
    execute(url, f"CREATE TABLE made_here ({columns}, value FLOAT, PRIMARY KEY (model_id, as_of, step))")
    with pytest.raises(DatabaseError, match="'made_here' has the key model_id, as_of, step: choose another"):
        write_forecasts(DAY, url, table)


def test_integers_are_timestamps_too(url, table):
    write_forecasts(replace(DAY, as_of=17, target_times=(18, None)), url, table)
    assert [row[1:4] for row in rows_in(url)] == [(17, 1, 18), (17, 2, None)]


BOTH = replace(
    DAY,
    targets=("log_return_close", "macd"),
    levels=(0.1, 0.5, 0.9),
    # A row a step, of each target its quantiles.
    quantiles=np.array([[[0.0, 0.1, 0.2], [0.5, 1.0, 1.5]], [[-0.3, -0.2, 0.1], [1.5, 2.0, 2.5]]]),
    point=np.array([[0.1, 1.0], [-0.2, 2.0]]),
    by_member={"3-1": np.array([[0.1, 1.0], [-0.2, 2.0]])},
)


def test_rows_have_a_target_and_a_column_for_each_quantile_that_was_learnt():
    rows = forecast_rows(BOTH)
    assert [(row["target"], row["step"], row["value"]) for row in rows] == [
        ("log_return_close", 1, 0.1), ("log_return_close", 2, -0.2), ("macd", 1, 1.0), ("macd", 2, 2.0)
    ]  # fmt: skip
    assert [row["q0.9"] for row in rows] == [0.2, 0.1, 1.5, 2.5]
    assert [*rows[0]] == ["model_id", "as_of", "target", "step", "target_time", "value", "q0.1", "q0.5", "q0.9"]
    assert [*forecast_rows(DAY)[0]] == ["model_id", "as_of", "target", "step", "target_time", "value"]


def test_quantiles_of_several_targets_have_a_row_each_beside_the_points_of_other_models(url, table):
    for _ in range(2):
        assert write_forecasts(BOTH, url, table) == 12
    stored = execute(url, "SELECT target, step, quantile, value FROM made_here ORDER BY target, step, quantile")
    assert stored == [
        (target, step + 1, level, BOTH.quantiles[step, i, j])
        for i, target in enumerate(BOTH.targets)
        for step in (0, 1)
        for j, level in enumerate(BOTH.levels)
    ]
    write_forecasts(replace(DAY, model_id="points"), url, table)
    stored = execute(url, "SELECT target, step, quantile, value FROM made_here WHERE model_id = 'points' ORDER BY step")
    assert stored == [("log_return_close", 1, 0.5, 0.1), ("log_return_close", 2, 0.5, -0.2)]


def test_a_name_is_a_name_and_no_statement(tmp_path):
    url = f"sqlite:///{tmp_path / 'features.db'}"
    write_forecasts(DAY, url, 'x"; DROP TABLE y; --')
    assert execute(url, "SELECT name FROM sqlite_master WHERE type = 'table'") == [('x"; DROP TABLE y; --',)]
