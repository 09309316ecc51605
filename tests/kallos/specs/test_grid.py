import pytest

from kallos.errors import UsageError
from kallos.specs.grid import parse_grid
from kallos.specs.study import parse_tune_spec

BASE = {"horizon": 2, "folds": {"n_folds": 3}}


def test_each_model_is_a_study_on_each_asset_and_all_else_is_alike():
    grid = parse_grid({**BASE, "all": {"assets": ["BTC", "ETH", "BTC"], "models": ["gru", "lstm"]}})
    studies = grid.studies()
    assert [(each.data.asset_id, each.model_name) for each in studies] == [
        ("BTC", "gru"),
        ("BTC", "lstm"),
        ("ETH", "gru"),
        ("ETH", "lstm"),
    ]
    assert {(each.horizon, each.folds.n_folds) for each in studies} == {(2, 3)}


def test_what_is_given_by_commas_counts_for_more_than_the_file():
    grid = parse_grid({**BASE, "all": {"assets": "*", "models": ["gru"]}}, assets="XRP, SOL", models="lstm")
    assert (grid.assets, grid.models) == (("XRP", "SOL"), ("lstm",))


def test_without_a_table_the_grid_is_the_study_itself():
    grid = parse_grid({**BASE, "model_name": "lstm", "data": {"asset_id": "BTC"}})
    assert (grid.assets, grid.models) == (("BTC",), ("lstm",))


def test_all_assets_are_those_that_the_table_turns_out_to_hold():
    grid = parse_grid({**BASE, "all": {"assets": "*"}})
    assert [each.data.asset_id for each in grid.studies(["A", "B"])] == ["A", "B"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"assets": ["BTC"], "models": ["gruu"]}, "not 'gruu': did you mean 'gru'"),
        ({"assets": ["BTC"], "models": ["lstm", "gruu"]}, "not 'gruu': did you mean 'gru'"),
        ({"assets": ["BTC"], "model": ["gru"]}, "^all.model is not a field: did you mean 'models'"),
        ({"asset": ["BTC"]}, "^all.asset is not a field: did you mean 'assets'"),
        ({"assets": [], "models": ["gru"]}, r"^all.assets must be a list of at least one name, not \[\]"),
        ({"assets": ["BTC", 3]}, r"^all.assets must be a list of at least one name, not \['BTC', 3\]"),
        ({"assets": "BTC,ETH"}, '^all.assets must be .*, not \'BTC,ETH\': write assets = \\["BTC", "ETH"\\]'),
        ({"assets": ["BTC"], "models": "*"}, "^all.models must be a list of at least one name, not '\\*'"),
        ({}, "^assets are missing: give `assets` separated by commas"),
        (["BTC"], r"all must be a table of the study file: \[all\]"),
    ],
)
def test_a_wrong_grid_is_one_clear_line(table, said):
    with pytest.raises(UsageError, match=said) as caught:
        parse_grid({**BASE, "all": table})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flags", [{"assets": ""}, {"assets": " , "}, {"models": ""}])
def test_names_by_commas_of_which_there_are_none_are_one_clear_line(flags):
    with pytest.raises(
        UsageError, match=r"^`(assets|models)` must be at least one name, separated by commas, not ' ?,? ?'$"
    ):
        parse_grid({**BASE, "data": {"asset_id": "BTC"}}, **flags)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"single_asset": True}, "with single_asset all of BTC, ETH have the same rows"),
        (
            {"query": "SELECT * FROM prices"},
            "with a query that does not bind :asset_id all of BTC, ETH have the same rows",
        ),
    ],
)
def test_rows_that_are_the_same_whatever_the_asset_are_refused_for_more_than_one(data, said):
    with pytest.raises(UsageError, match=said):
        parse_grid({**BASE, "data": data, "all": {"assets": ["BTC", "ETH"]}})
    assert len(parse_grid({**BASE, "data": data, "all": {"assets": ["BTC"]}}).studies()) == 1


def test_a_query_that_binds_the_asset_serves_as_many_as_are_named():
    data = {"query": "SELECT * FROM prices WHERE asset_id = :asset_id"}
    assert len(parse_grid({**BASE, "data": data, "all": {"assets": ["BTC", "ETH"]}}).studies()) == 2


def test_the_same_architectures_in_another_order_are_the_same_study():
    grid = parse_grid({**BASE, "all": {"assets": ["BTC"], "models": ["lstm,gru", "gru", "gru,lstm"]}})
    assert [each.model_name for each in grid.studies()] == ["gru,lstm", "gru"]


def test_a_file_of_many_studies_is_none_of_one_and_says_whose_it_is():
    with pytest.raises(UsageError, match=r"^a study file with a table \[all\] describes many studies"):
        parse_tune_spec({**BASE, "data": {"asset_id": "BTC"}, "all": {"models": ["gru"]}})
