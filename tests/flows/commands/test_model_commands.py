"""`kallos-run predict` and `kallos-run repro`, called in this process."""

import json
import sqlite3
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from flows.cli import main
from kallos.features.store import FeatureStore
from kallos.folds.columns import study_frame
from kallos.models.files import write_model
from kallos.models.forecasting import forecast_next
from kallos.scoring.fold import evaluate_fold
from kallos.settings import Settings
from tests.samples import make_features, stand_in_pool
from tests.small_models import FinishedStudy, finished_study, small_model

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> FinishedStudy:
    return finished_study(tmp_path_factory.mktemp("study"), horizon=2)


@pytest.fixture(scope="module")
def model(study):
    return small_model(study)


@pytest.fixture
def folder(model, tmp_path) -> str:
    return write_model(model, str(tmp_path / "model"))


@pytest.fixture
def database(home, monkeypatch) -> Path:
    """A features database with ten days more than the study saw."""
    monkeypatch.setenv("COLUMNS", "80")
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features(400).combine_first(make_features(410, seed=1))})
    return home / "features.db"


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    monkeypatch.setattr("kallos.workers.processes.FoldPool", lambda *_, **__: nullcontext(stand_in_pool(evaluate_fold)))


def run(monkeypatch, *arguments: str) -> int:
    """Run the command line and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", *arguments])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def test_predict_shows_the_next_values_and_writes_them_to_a_file_and_a_table(
    database, model, folder, monkeypatch, capsys
):
    for _ in range(2):
        assert run(monkeypatch, "predict", "--model", folder, "--output", "next.csv", "--to-table") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "log_return_close of ABC as of 2021-02-13" in shown.out
    assert "2021-02-15" in shown.out
    assert "warning" not in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    with FeatureStore(Settings.read().features_url) as store:
        rows = study_frame(store.load(model.manifest.spec.data), model.manifest.spec.features)
    expected = forecast_next(model, rows).point[:, 0].tolist()
    table = pd.read_csv("next.csv", float_precision="round_trip")
    assert table.columns.tolist() == ["model_id", "as_of", "target", "step", "target_time", "value"]
    assert table["value"].tolist() == expected
    with sqlite3.connect(database) as connection:
        found = connection.execute("select model_id, step, value from forecasts order by step").fetchall()
    assert found == [(model.model_id, 1, expected[0]), (model.model_id, 2, expected[1])]


def test_predict_shows_quantiles_of_each_target_in_80_columns_and_writes_json(database, tmp_path, monkeypatch, capsys):
    over = {"likelihood": "quantile", "features": {"target": ["log_return_close", "macd"]}}
    model = small_model(finished_study(tmp_path, **over), seeds=1)
    folder = write_model(model, str(tmp_path / "model"))
    assert run(monkeypatch, "predict", "--model", folder, "--output", "next.json", "--to-table") == 0
    shown = capsys.readouterr().out
    assert "log_return_close of ABC as of 2021-02-13" in shown
    assert "macd of ABC as of 2021-02-13" in shown
    assert "q0.05" in shown
    assert "10 rows written to table forecasts" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    rows = json.loads(Path("next.json").read_text())
    assert [(row["target"], row["step"], row["target_time"]) for row in rows] == [
        ("log_return_close", 1, "2021-02-14T00:00:00"), ("macd", 1, "2021-02-14T00:00:00")
    ]  # fmt: skip
    assert all(row["value"] == row["q0.5"] for row in rows)


def test_predict_as_of_a_day_that_the_model_has_learnt_from_warns(database, folder, monkeypatch, capsys):
    assert run(monkeypatch, "predict", "--model", folder, "--as-of", "2020-12-24") == 0
    shown = capsys.readouterr().out
    assert "warning: the model was trained on rows up to 2021-02-03, so a forecast as of 2020-12-24" in shown
    assert "2020-12-26" in shown


def test_predict_as_of_a_day_behind_the_last_row_says_from_where(database, folder, monkeypatch, capsys):
    said = "is 2021-02-13: the forecast is from there"
    assert run(monkeypatch, "predict", "--model", folder, "--as-of", "2021-02-14T06:00") == 0
    assert f"the last row up to 2021-02-14T06:00 {said}" in capsys.readouterr().out
    assert run(monkeypatch, "predict", "--model", folder, "--as-of", "2021-02-13") == 0
    assert said not in capsys.readouterr().out


def fill_up_to(last: pd.Timestamp, **last_values: float) -> pd.DataFrame:
    """Write 410 days up to this one into the features database, with these values in its last row."""
    frame = make_features(410, start=str(last - pd.Timedelta(days=409)))
    frame.loc[frame.index[-1], list(last_values)] = list(last_values.values())
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": frame}, table_name="features")
    return frame


class AfternoonOfTheTenth(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2023, 5, 10, 15, tzinfo=tz)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("2023-05-10", "is not over before 2023-05-11 00:00:00 (UTC)"),
        ("2023-05-12", "lies in the future"),
    ],
)
def test_predict_does_not_start_from_a_row_that_is_not_over_unless_asked(home, folder, monkeypatch, capsys, last, why):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("flows.commands.predict.datetime", AfternoonOfTheTenth)
    fill_up_to(pd.Timestamp(last))
    assert run(monkeypatch, "predict", "--model", folder) == 0
    shown = capsys.readouterr().out
    assert f"the last row, {last}, {why}: the forecast is from 2023-05-09 (--from-unfinished forecasts" in shown
    assert "log_return_close of ABC as of 2023-05-09" in shown
    assert run(monkeypatch, "predict", "--model", folder, "--from-unfinished") == 0
    shown = capsys.readouterr().out
    assert "is forecast from" not in shown
    assert f"log_return_close of ABC as of {last}" in shown


def test_predict_does_not_start_from_a_row_of_hardly_any_volume(home, folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    fill_up_to(pd.Timestamp("2023-05-10"), volume=1.0)
    assert run(monkeypatch, "predict", "--model", folder) == 0
    shown = capsys.readouterr().out
    assert "the last row, 2023-05-10, has only a part of its volume (volume is 1): the forecast is from" in shown
    assert "as of 2023-05-09" in shown


def test_predict_leaves_out_a_row_that_is_off_the_clock(home, folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    frame = fill_up_to(pd.Timestamp("2023-05-10"))
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": frame.iloc[-1:].set_axis(pd.DatetimeIndex(["2023-05-10 16:00:03"], name="timestamp"))})
    assert run(monkeypatch, "predict", "--model", folder) == 0
    shown = capsys.readouterr().out
    assert "the last row, 2023-05-10 16:00:03, is off the clock of all others, and is left out" in shown
    assert "as of 2023-05-10" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["predict", "--model", "nowhere"], 1, "must have a manifest.json, and nowhere has none"),
        (["predict"], 2, "--model"),
        (["repro", "nowhere.json"], 1, "nowhere.json does not"),
        (["train", "--params-file", "nowhere.json"], 1, "nowhere.json does not"),
        (["train", "--params-file", "nowhere.json", "--seeds", "0"], 2, 'Invalid value "0" for --seeds. Must be >= 1.'),
        (["train", "--params-file", "nowhere.json", "--refit", "never"], 2, "inner-validation"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(database, monkeypatch, capsys, arguments, code, said):
    monkeypatch.setattr("flows.commands.train.set_environment", lambda **_: None)
    assert run(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_choice_that_the_study_has_not_made_is_refused_in_a_line_before_a_server_starts(
    database, study, monkeypatch, capsys
):
    monkeypatch.setattr("flows.commands.train.set_environment", lambda **_: None)
    assert run(monkeypatch, "train", "--params-file", study.file, "--choose", "ensemble") == 2
    shown = capsys.readouterr().err
    assert (
        "the study's file has no ensemble: one needs two complete trials and four folds; set --choose to best" in shown
    )
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("as_of", "code", "said"),
    [
        ("2020-01-05", 1, "rows, and there are 5"),
        ("soon", 2, "--as-of must be an ISO date"),
        (
            "2262-01-01",
            2,
            "must not be in the future, and 2262-01-01 is: leave it out to forecast from the last row, 2021-02-13",
        ),
    ],
)
def test_predict_as_of_what_it_cannot_is_one_line(database, folder, monkeypatch, capsys, as_of, code, said):
    assert run(monkeypatch, "predict", "--model", folder, "--as-of", as_of) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.splitlines()) == 1


def test_repro_says_the_same_to_the_bit_or_what_differs(
    database, study, in_this_process, monkeypatch, tmp_path, capsys
):
    assert run(monkeypatch, "repro", study.file, "--workers", "1") == 0
    shown = capsys.readouterr().out
    assert f"identical, bit for bit: 2 folds, mean RMSE {study.best.best_value!r}" in shown
    document = json.loads(Path(study.file).read_text())
    document["folds"][1]["value"] *= 1 + 2**-52
    document["versions"]["torch"] = "2.0.0"
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(document))
    assert run(monkeypatch, "repro", str(altered), "--workers", "1") == 1
    shown = capsys.readouterr().out
    assert shown.index("changed since: torch 2.0.0 then, 2.") < shown.index("RMSE, then and now")
    assert repr(document["folds"][1]["values"]["rmse"]) in shown
    assert shown.splitlines()[-1] == "not identical"
    assert all(len(line) <= 80 for line in shown.splitlines())
