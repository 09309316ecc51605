"""Benchmarks of what models and rules are worth: the smallest run of each."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks import choosing, dm_size, etth1, false_alarms, pruning, training, verdicts
from benchmarks.flow_run import trivial_result
from kallos.features.store import FeatureStore
from tests.samples import make_features

WIDE = Console(width=200)


@pytest.fixture
def argv(monkeypatch):
    """Set a benchmark's arguments, and a terminal that is wide enough for its tables."""
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: monkeypatch.setattr("sys.argv", ["a benchmark", *words])


def test_the_simulation_of_choosing_fills_its_tables(argv, capsys, monkeypatch):
    argv("1")
    monkeypatch.setattr(choosing, "CASES", choosing.CASES[:1])
    choosing.main()
    shown = capsys.readouterr().out
    assert shown.count("independent") == 3
    assert "nan" not in shown


def test_the_simulation_of_the_test_of_forecasts_fills_its_tables(argv, capsys, monkeypatch):
    argv("4")
    monkeypatch.setattr(dm_size, "CASES", [(5, 60)])
    dm_size.main()
    shown = capsys.readouterr().out
    # Returns of two kinds, with two signals, and on hold-outs of four lengths.
    assert shown.count("GARCH") == 2 + 4
    assert "nan" not in shown


def test_the_audit_of_clean_sets_gives_verdicts_by_stage(argv, capsys):
    argv("1")
    false_alarms.main()
    shown = capsys.readouterr().out
    assert "1 clean sets" in shown
    (total,) = (line for line in shown.splitlines() if " all " in line)
    assert total.endswith("0.00% │")


def test_a_night_of_noise_has_a_verdict():
    small = {"n_trials": 1, "folds": {"n_folds": 1, "window": 300, "holdout": 1}, "training": {"max_epochs": 1}}
    case, evaluation = verdicts.night(("noise", 0), "best", **small)
    assert evaluation.verdict.decision != "ship"
    (name, *_, skill) = (column.cells for column in verdicts.table_of([(case, evaluation)]).columns)
    assert list(name) == ["noise"]
    assert next(iter(skill)).endswith("%")


def test_every_setting_of_the_training_is_compared_with_the_defaults(monkeypatch):
    monkeypatch.setattr(training, "SETTINGS", {name: training.SETTINGS[name] for name in ("defaults", "lr_decay 0.9")})
    sizes = training.Sizes(windows=1, train_rows=200, rows=30, max_epochs=3)
    table = training.measured(WIDE, [("S&P 500", "nlinear")], seeds=(1, 2), sizes=sizes)
    settings, saved, mean = (list(column.cells) for column in table.columns)
    assert settings == ["defaults", "lr_decay 0.9"]
    assert saved[0] == "+0.00% (0.00%)"
    assert saved[1] != saved[0]
    # There is one series.
    assert mean == saved


def features(home):
    """Put two years for BTC into a home."""
    with FeatureStore(f"sqlite:///{home / 'features.db'}") as store:
        store.write({"BTC": make_features(700, start="2022-11-01")})


def test_the_pruner_is_replayed_on_a_study_that_was_run_in_full(tmp_path):
    features(tmp_path)
    over = {"data": {"start_date": "2022-11-01"}, "n_trials": 6, "folds": {"n_folds": 3, "window": 40}}
    scores = pruning.scores_of("btc", tmp_path, trivial_result, **over)
    assert [len(each) for each in scores] == [3] * 6
    table = pruning.table_of({"btc": scores}, seed=0, orders=2, peeled=2)
    assert list(table.columns[0].cells) == ["btc", "btc, best taken away"]
    # The best trial goes on, or another one is as good or worse.
    assert all(float(cell.removesuffix("%")) >= 0 for cell in table.columns[4].cells)


def walks(n_rows: int) -> pd.DataFrame:
    """Return two random walks."""
    steps = np.random.default_rng(0).normal(size=(n_rows, 2))
    return pd.DataFrame(np.cumsum(steps, axis=0), columns=["one", "other"])


def test_the_protocol_of_the_literature_scores_the_test_rows_once(tmp_path):
    over = {
        "n_trials": 1,
        "training": {"max_epochs": 1},
        "space": {"input_chunk_length": {"type": "categorical", "choices": [24]}},
    }
    rows = walks(400)
    row = etth1.etth1("dlinear", 3, str(tmp_path), rows, split=(240, 80, 80), **over)
    _, name, last, published, mse, *_ = (cell.strip() for cell in row.split("|"))
    assert (name, published) == ("dlinear, 3", "")
    assert float(mse) > 0
    # Each forecast repeats the last value; errors are in standard deviations of the training rows.
    test = rows.to_numpy()[320:]
    before = rows.to_numpy()[319 : 319 + len(test) - 2]
    errors = np.stack([test[step : len(test) - 2 + step] - before for step in range(3)], axis=1)
    assert float(last) == pytest.approx(np.mean((errors / rows[:240].std(ddof=0).to_numpy()) ** 2), abs=0.0005)


def test_the_leaderboard_of_linear_models_ranks_them_beside_the_baseline(tmp_path):
    small = {"n_trials": 1, "folds": {"window": 60}, "training": {"max_epochs": 1}}
    board = etth1.exchange(3, str(tmp_path), walks(400), **small)
    ranked = [line.split(" | ")[1:3] for line in board.splitlines() if line.startswith("| exchange")]
    assert [rank for rank, _ in ranked] == ["1", "2", "3", "4"]
    # Nothing forecasts a random walk.
    assert ranked[0][1].startswith("baseline")
    assert {name for _, name in ranked[1:]} == {"ridge", "benchmarks.etth1:NLINEAR", "benchmarks.etth1:DLINEAR"}
