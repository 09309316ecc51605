"""`kallos-run check`, called in this process on a real database."""

import json
import sqlite3

import numpy as np
import pytest

from flows.cli import main
from kallos.features.store import FeatureStore
from kallos.settings import Settings
from tests.samples import make_features

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")

SMALL = ["--asset-id", "ABC", "--n-folds", "2", "--window", "40"]


@pytest.fixture
def database(home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": make_features()})
    return home / "features.db"


def run(monkeypatch, *arguments: str) -> int:
    """Run the command line and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", *arguments])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def spoil(database) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("update features set macd = null where timestamp like '2020-05-1%'")
        connection.execute("update features set weekday = 3")


def test_sound_rows_are_said_to_be_so_with_what_a_study_would_see(database, monkeypatch, capsys):
    assert run(monkeypatch, "check", *SMALL) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "sound: tune takes ABC of table 'features', with 0 warnings" in shown.out
    assert "a study sees 400 rows, 2020-01-01 to 2021-02-03, frequency D" in shown.out
    assert "fold 1: trains to 2020-11-15, scored 2020-11-16 to 2020-12-25" in shown.out


def test_all_faults_are_shown_errors_first_within_80_columns(database, monkeypatch, capsys):
    spoil(database)
    assert run(monkeypatch, "check", *SMALL) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 error"
    assert lines[1] == "  inner-missing-values  column macd, 2020-05-10 00:00:00"
    assert "1 warning" in lines
    assert "  constant-column  column weekday" in lines
    assert "unsound: tune refuses ABC of table 'features', for 1 error" in lines
    assert max(map(len, lines)) <= 80


def test_as_json_there_is_nothing_else(database, monkeypatch, capsys):
    spoil(database)
    assert run(monkeypatch, "check", *SMALL, "--json") == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == ""
    assert not document["is_sound"]
    missing, constant = document["findings"]
    assert missing == {
        "fault": "inner-missing-values",
        "severity": "error",
        "table": "features",
        "column": "macd",
        "timestamps": ["2020-05-10 00:00:00", "2020-05-11 00:00:00", "2020-05-12 00:00:00"],
        "fold": None,
        "parameter": None,
        "message": "features must be finite, and macd is missing in 10 rows, first 2020-05-10 00:00:00",
        "remedy": "correct them, or set `fill` forward, or name the column in 'exclude'",
    }
    assert constant["fault"] == "constant-column"
    assert document["summary"]["rows"] == 400


def test_repairs_are_shown_as_lines_of_a_study_file_that_mend_it(database, home, monkeypatch, capsys):
    spoil(database)
    assert run(monkeypatch, "check", *SMALL, "--fix", "ffill,drop-constant") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    study = lines[lines.index("[data]") :]
    assert study == ["[data]", 'fill = "forward"', "[features]", 'exclude = ["weekday"]']
    (home.parent / "study.toml").write_text("\n".join(study))
    assert run(monkeypatch, "check", *SMALL, "--study", "study.toml") == 0
    assert "with 0 warnings" in capsys.readouterr().out
    assert run(monkeypatch, "check", *SMALL) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["check"], 2, "asset_id is missing"),
        (["check", "--asset-id", "ABD"], 1, "did you mean 'ABC'"),
        (["check", *SMALL, "--fix", "bfill"], 2, "not 'bfill': did you mean 'ffill'"),
        (["check", *SMALL, "--start-date", "soon"], 2, "ISO date"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(database, monkeypatch, capsys, arguments, code, said):
    assert run(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_tune_names_all_errors_before_a_server_is_started(database, monkeypatch, capsys):
    rows = make_features().assign(next=lambda frame: np.r_[frame["log_return_close"].to_numpy()[1:], 0.0])
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": rows}, table_name="own")
    with sqlite3.connect(database) as connection:
        connection.execute("update own set macd = null where timestamp like '2020-05-1%'")
    # What a command settles for its own process is not to stay in this one.
    monkeypatch.setattr("flows.commands.tune.set_environment", lambda **_: None)
    # Were a server started for it, the test would fail for want of one.
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert run(monkeypatch, "tune", *SMALL, "--features-table", "own") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "kallos-run: rows must be sound to tune on, and have 2 faults:"
    assert lines[1].startswith("  features must be finite, and macd is missing in 10 rows, first 2020-05-10 00:00:00")
    assert "next equals the target log_return_close 1 row later" in lines[2]
    assert len(lines) == 3


def test_each_of_several_assets_is_checked_and_then_all_together(database, monkeypatch, capsys):
    study = database.parent / "study.toml"
    study.write_text('[data]\nasset_id = ["ABC", "XYZ"]\n[folds]\nn_folds = 2\nwindow = 40\n')
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"XYZ": make_features(300, seed=1, start="2020-04-01")})
    assert run(monkeypatch, "check", "--study", str(study)) == 0
    shown = capsys.readouterr().out
    assert "XYZ of table 'features': sound on its own, with 0 warnings" in shown
    assert "sound: tune takes ABC+XYZ together, with 0 warnings" in shown
    assert shown.count("fold 1: trains to") == 1
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"XYZ": make_features(300, seed=1, start="2019-09-01")}, table_name="own")
        store.write({"ABC": make_features()}, table_name="own")
    # Each is sound on its own, and the one has ended before the other one's folds begin.
    assert run(monkeypatch, "check", "--study", str(study), "--features-table", "own") == 1
    shown = capsys.readouterr().out
    assert "too-few-rows" in shown
    assert "unsound: tune refuses ABC+XYZ" in shown
    assert run(monkeypatch, "check", "--study", str(study), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["is_sound"]
    assert list(document["assets"]) == ["ABC", "XYZ"]
    assert run(monkeypatch, "check", "--study", str(study), "--fix", "ffill") == 2
    assert "--fix takes one asset" in capsys.readouterr().err
