"""Names of results: readable where they can be, and never one for two."""

import itertools
import re

import pytest

from kallos.specs.grid import StudyGrid
from kallos.study.names import (
    BEST_PARAMS,
    REPORT,
    artifact_key,
    failure_name,
    grid_folder,
    latest_leaderboard,
    latest_name,
    leaderboard_key,
    results_of,
    shown_name,
    study_folder,
)
from tests.samples import small_plan, small_spec

LONG = "A" * 300
ASSETS = [
    "A", "B", "A-B", "A_B", "A+B", "A/B", "A:B", "A B", "A\\B", "../A", "A.", ".A", "A_next_return", "a",
    "^GSPC", "GSPC", "日経", "ЛУК", LONG, f"{LONG}B", ["A", "B"], ["A", "B_next"],
]  # fmt: skip
TARGETS = [
    "log_return_close", "next_return", "next-return", "B", "b", "B_next", "a/b", "a:b", "_x", LONG,
    "best_params", "x_best_params", ["log_return_close", "x"], ["x", "log_return_close"], "log_return_close, x",
]  # fmt: skip


def of(asset_id, target="log_return_close", **over):
    return small_spec(data={"asset_id": asset_id}, features={"target": target}, **over)


@pytest.mark.parametrize(
    ("asset_id", "target", "name"),
    [
        ("BTC", "log_return_close", r"gru_BTC_best_params\.json"),
        ("BTC", "next_return", r"gru_BTC_next_return_best_params\.json"),
        ("BRK.B", "OT", r"gru_BRK\.B_OT_best_params\.json"),
        ("../BTC/USD", "a:b", r"gru_BTC-USD-[0-9a-f]{6}_a-b-[0-9a-f]{6}_best_params\.json"),
        (["BTC", "ETH"], ["x", "y"], r"gru_BTC\+ETH_x\+y_best_params\.json"),
        (LONG, "log_return_close", r"gru_A{56}-[0-9a-f]{6}_best_params\.json"),
    ],
)
def test_a_short_name_says_model_asset_and_a_target_that_is_not_the_default_one(asset_id, target, name):
    assert re.fullmatch(name, latest_name(of(asset_id, target), BEST_PARAMS))


def test_no_two_assets_and_targets_share_a_file_or_a_key_and_every_name_is_safe():
    specs = [of(asset, target) for asset, target in itertools.product(ASSETS, TARGETS)]
    files = [latest_name(spec, name) for spec in specs for name in (BEST_PARAMS, REPORT)]
    keys = [artifact_key("best-params", spec) for spec in specs]
    notes = [failure_name(spec).lower() for spec in specs]
    for names in (files, keys, notes):
        assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9.=^_+-]+", name) and name[0] != "." for name in files)
    # With the ending of a file that is not whole yet, 34 characters, a name stays within a disk's 255.
    assert max(map(len, files)) + 34 <= 255
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)


def test_artifact_keys_of_the_default_target_are_short_and_those_of_others_name_it():
    assert artifact_key("best-params", of("BTC")) == "best-params-gru-btc"
    assert artifact_key("trials", of("BTC-USD")) == "trials-gru-btc-usd"
    assert artifact_key("trials", of("BTC", "next_return")) == "trials-gru-btc--next-return"


def test_a_studys_folder_has_its_name_and_what_cannot_stand_in_a_folders_name_is_told_apart_by_a_hash(tmp_path):
    plan = small_plan(tmp_path, model_name="gru,ridge")
    assert study_folder("results", plan.study_name) == f"results/{plan.study_name}"
    names = [f"gru-{asset}-0123456789abcdef" for asset in ("BTC/USDT", "BTC:USDT", "BTC-USDT", LONG, f"{LONG}B")]
    folders = [study_folder("s3://bucket/results", name) for name in names]
    assert folders[2] == f"s3://bucket/results/{names[2]}"
    assert len(set(folders)) == 5
    for name, folder in zip(names, folders, strict=True):
        assert re.fullmatch(r"s3://bucket/results/gru-[A-Z-]+(-[0-9a-f]{6})?-0123456789abcdef", folder)
        assert (results_of(folder, name), results_of(f"{folder}/", name)) == ("s3://bucket/results",) * 2
    assert results_of("mailed/some", names[2]) is None
    assert results_of(names[2], names[2]) == "."


def test_a_note_of_a_failure_is_of_the_whole_specification_but_for_the_number_of_trials():
    night = of("SPX")
    assert re.fullmatch(r"gru_SPX-[0-9a-f]{8}\.json", failure_name(night))
    assert failure_name(of("SPX", n_trials=99)) == failure_name(night)
    typos = [of("SPX", "macd"), of("SPX", horizon=7), small_spec(data={"asset_id": "SPX", "features_table": "typo"})]
    assert len({failure_name(spec) for spec in (night, *typos)}) == 4


def test_grids_have_folders_of_their_own_and_leaderboards_of_other_targets_other_names():
    grid = StudyGrid(spec=of("A"), assets=("A", "B"), models=("gru",))
    others = [
        StudyGrid(spec=of("A"), assets=("A",), models=("gru",)),
        StudyGrid(spec=of("A", horizon=2), assets=("A", "B"), models=("gru",)),
        StudyGrid(spec=of("A", "macd"), assets=("A", "B"), models=("gru",)),
    ]
    more = StudyGrid(spec=of("A", n_trials=9), assets=("A", "B"), models=("gru",))
    assert grid_folder("results", more) == grid_folder("results", grid)
    assert len({grid_folder("results", each) for each in (grid, *others)}) == 4
    assert [latest_leaderboard(each) for each in (grid, *others)] == [*["leaderboard.csv"] * 3, "macd_leaderboard.csv"]
    assert [leaderboard_key(each) for each in (grid, *others)] == [*["leaderboard"] * 3, "leaderboard--macd"]


def test_best_parameters_are_shown_by_their_study_or_their_copys_name_and_never_by_a_url():
    assert shown_name("s3://me:hunter2@host/bucket/gru_BTC_best_params.json") == "gru_BTC_best_params.json"
    assert shown_name("s3://me:hunter2@host/gru-BTC-0123456789abcdef/best_params.json") == "gru-BTC-0123456789abcdef"
    assert shown_name("best_params.json") == "best_params.json"
