import csv
import io
from pathlib import Path

import pytest
from scipy.stats import rankdata

from kallos.report.leaderboard import (
    Leaderboard,
    LeaderboardEntry,
    leaderboard_csv,
    leaderboard_markdown,
    write_leaderboard,
)
from kallos.specs.grid import StudyGrid
from kallos.study.best_params import BestParams, ScoredWindow
from tests.samples import small_spec


def spec_of(asset: str, model: str):
    return small_spec(model_name=model, data={"asset_id": asset})


def done(asset: str, model: str, *rmse: float, baseline: float = 1.0) -> LeaderboardEntry:
    """A study whose best trial has these scores, where the baseline has the same one in each fold."""
    by_baseline = {
        "baseline_value": baseline,
        "baseline_values": {"rmse": baseline},
        "baseline_by_asset": (baseline,),
    }
    folds = [
        ScoredWindow(
            train_start=0,
            train_end=1,
            validation_start=2,
            validation_end=3,
            by_asset=(each,),
            by_target=(each,),
            n_forecasts=1,
            best_epoch=1,
            fingerprint="f",
            value=each,
            values={"rmse": each, "mae": each},
            **by_baseline,
        )
        for each in rmse
    ]
    best = BestParams.model_construct(
        best_value=sum(rmse) / len(rmse),
        baseline="zero",
        baseline_value=baseline,
        folds=folds,
        folds_won=sum(each < baseline for each in rmse),
        n_trials=3,
        n_pending=0,
        study=f"{model}-{asset}-0",
    )
    return LeaderboardEntry.of(spec_of(asset, model), best)


BOARD = Leaderboard(
    entries=(
        done("BTC", "gru", 0.75, 0.75),
        done("BTC", "lstm", 0.5, 1.25),
        done("ETH", "gru", 1.5, 0.75),
        done("ETH", "lstm", 1.0, 1.0),
        LeaderboardEntry.failed(spec_of("XRP", "gru"), "too few\nrows"),
        done("XRP", "lstm", 0.5, 0.5),
        LeaderboardEntry.waiting(spec_of("SOL", "gru")),
        LeaderboardEntry.waiting(spec_of("SOL", "lstm")),
    )
)


def test_rows_are_sorted_within_an_asset_and_baseline_is_one_of_them():
    assert [(row.asset, row.model, row.rank) for row in BOARD.rows] == [
        ("BTC", "gru", 1),
        ("BTC", "lstm", 2),
        ("BTC", "baseline (zero)", 3),
        # At equal values the baseline stands first, and both have the mean of their places.
        ("ETH", "baseline (zero)", 1.5),
        ("ETH", "lstm", 1.5),
        ("ETH", "gru", 3),
        ("XRP", "lstm", 1),
        ("XRP", "baseline (zero)", 2),
        ("XRP", "gru", None),
        ("SOL", "gru", None),
        ("SOL", "lstm", None),
    ]


def test_a_row_says_skill_folds_won_and_trials():
    row = BOARD.rows[1]
    assert (row.skill, row.folds_won, row.folds, row.trials, row.n_trials) == (0.125, 1, 2, 3, 3)
    # It is over the baseline: baseline has none.
    assert BOARD.rows[2].skill is None


def test_mean_ranks_are_over_assets_that_all_models_have_finished():
    ranks = [rankdata(values) for values in ([0.75, 0.875, 1.0], [1.125, 1.0, 1.0])]
    expected = dict(zip(("gru", "lstm", "baseline"), sum(ranks) / 2, strict=True))
    assert {each.model: each.rank for each in BOARD.mean_ranks} == pytest.approx(expected)
    assert [each.model for each in BOARD.mean_ranks] == ["lstm", "gru", "baseline"]
    assert {each.assets for each in BOARD.mean_ranks} == {2}


def test_without_an_asset_that_all_have_finished_there_are_no_mean_ranks():
    assert Leaderboard(entries=BOARD.entries[4:]).mean_ranks == ()


def test_csv_holds_every_row_and_number_in_full():
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(BOARD))))
    assert len(rows) == len(BOARD.rows)
    assert [float(row["value"]) for row in rows if row["value"]] == [row.value for row in BOARD.rows if row.value]
    assert {row["reason"] for row in rows} == {"", "too few rows"}
    assert {row["metric"] for row in rows} == {"rmse"}
    assert [row["rank"] for row in rows[:6]] == ["1", "2", "3", "1.5", "1.5", "3"]


def test_markdown_says_what_failed_and_why():
    text = leaderboard_markdown(BOARD)
    assert "| ETH | 1.5 | baseline (zero) | 1 |  |  |  | baseline |" in text
    assert "gru on XRP failed: too few rows" in text
    assert "Mean rank over 2 assets that all models have finished: lstm 1.75, gru 2.00, baseline 2.25." in text


def test_an_entry_takes_the_place_of_the_one_that_waited():
    board = BOARD.updated(done("SOL", "gru", 0.5))
    assert [entry.status for entry in board.entries[-2:]] == ["done", "waiting"]
    assert board.entries[:-2] == BOARD.entries[:-2]


def test_a_leaderboard_says_that_its_values_flatter_once_there_are_some():
    assert "chosen on these very folds, so it is optimistic" in leaderboard_markdown(BOARD)
    assert "optimistic" not in leaderboard_markdown(Leaderboard(entries=BOARD.entries[6:]))


def test_each_grid_keeps_its_leaderboard_and_the_copy_is_the_latest_ones_of_its_target(tmp_path):
    grids = [
        StudyGrid(spec=small_spec(**over), assets=assets, models=("gru",))
        for assets, over in ((("BTC", "ETH"), {}), (("BTC",), {}), (("BTC",), {"features": {"target": "macd"}}))
    ]
    boards = [Leaderboard(entries=(done("BTC", "gru", rmse),)) for rmse in (0.1, 0.2, 0.3)]
    own = [write_leaderboard(board, grid, str(tmp_path)) for board, grid in zip(boards, grids, strict=True)]
    assert [Path(address).read_text() for address in own] == [leaderboard_csv(board) for board in boards]
    assert (tmp_path / "leaderboard.csv").read_text() == leaderboard_csv(boards[1])
    assert (tmp_path / "macd_leaderboard.csv").read_text() == leaderboard_csv(boards[2])
