"""The replay of searches: its smallest run, and its arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.replay.__main__ import mean_regrets, pools, pruned
from benchmarks.replay.searches import SAMPLERS, Pool, regrets
from benchmarks.replay.tables import TASKS, Table, table_of
from kallos.architectures.study_space import study_space

RANGE = replace(TASKS[2], n_rows=420)


def test_development_rows_alone_are_read():
    assert {task.series.name: task.series.stop for task in TASKS} == {"BTC": "2024", "S&P 500": "2015"}


def test_a_table_is_carried_on_and_its_first_set_has_the_defaults(tmp_path):
    two = table_of(RANGE, "ridge", tmp_path, 2)
    three = table_of(RANGE, "ridge", tmp_path, 3)
    assert three.scores.shape == (3, 5)
    assert three.params[:2] == two.params
    np.testing.assert_array_equal(three.scores[:2], two.scores)
    assert three.params[0] == study_space("ridge").default_draws()[0]
    file = next(tmp_path.glob("*.jsonl"))
    before = file.read_bytes()
    table_of(RANGE, "ridge", tmp_path, 3)
    assert file.read_bytes() == before


def small_pool() -> Pool:
    """Return a pool of two architectures: an error that grows with the distance from a best input."""
    rng = np.random.default_rng(0)
    tables = {}
    space = study_space("nlinear,ridge")
    for name, offset in (("nlinear", 1.0), ("ridge", 0.5)):
        (draws,) = study_space(name).default_draws()
        lengths = rng.integers(20, 60, 30)
        params = tuple({**draws, "input_chunk_length": int(length)} for length in (*lengths[:29], 21))
        errors = np.array([offset + abs(each["input_chunk_length"] - 30) / 100 for each in params])
        tables[name] = Table(params, np.stack([errors, errors + 0.1], axis=1))
    return Pool(space, tables)


def test_the_nearest_unused_set_of_the_drawn_architecture_is_taken():
    pool = small_pool()
    drawn = {"architecture": "ridge", **pool.tables["ridge"].params[4]}
    lengths = [params["input_chunk_length"] for params in pool.tables["ridge"].params]
    used = set()
    name, place = pool.nearest(drawn, used)
    assert (name, lengths[place]) == ("ridge", lengths[4])
    used.update(("ridge", each) for each, length in enumerate(lengths) if length == lengths[4])
    # The space is in logarithms.
    logs = np.abs(np.log(lengths) - np.log(lengths[4]))
    expected = min(value for each, value in enumerate(logs) if ("ridge", each) not in used)
    assert logs[pool.nearest(drawn, used)[1]] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_regret_falls_to_nothing_once_the_whole_pool_is_taken(name):
    pool = small_pool()
    found = regrets(pool, name, 1, 70, defaults_first=True)
    assert (np.diff(found) <= 0).all()
    best, first = pool.best, pool.tables["nlinear"].values[0]
    assert found[0] == pytest.approx(first / best - 1)
    assert found[-1] >= 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_smallest_run_has_a_regret_for_each_search_and_prunes(tmp_path):
    points = {"ridge": 6, "lightgbm": 2, "nlinear": 1, "tide": 1}
    for _, _, pool in pools((RANGE,), tmp_path, points):
        found = mean_regrets(pool, 2, 5)
        assert all(len(each) == 5 and (each >= 0).all() for each in found.values())
        assert 0 <= pruned(pool)[0] <= 1
