"""`kallos-run space`: what a study draws, as it is shown and printed."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flows.cli import main
from kallos.architectures import registry
from kallos.architectures.study_space import study_space

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def said(capsys, monkeypatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["kallos-run", "space", *words])
    main()
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [*registry(), "auto"])
def test_the_table_has_every_parameter_within_80_columns(capsys, monkeypatch, name):
    shown = said(capsys, monkeypatch, name)
    assert max(len(line) for line in shown.splitlines()) <= 80
    for own in study_space(name).spaces.values():
        assert [line for line in shown.splitlines() for parameter in own if line.startswith(f"{parameter} ")]


def test_toml_can_be_pasted_and_json_is_that_of_the_result(capsys, monkeypatch, home, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text('model_name = "gru,ridge"\n[space.ridge]\nalpha = { high = 7.0 }\n')
    document = json.loads(said(capsys, monkeypatch, "--study", str(study), "--json"))
    assert document == study_space("gru,ridge", {"ridge": {"alpha": {"high": 7.0}}}).document()
    pasted = tomllib.loads(said(capsys, monkeypatch, "--study", str(study), "--toml"))["space"]
    assert study_space("gru,ridge", pasted).document() == document


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["gruu"], "not 'gruu': did you mean 'gru'"),
        (["gru", "--toml", "--json"], "give --toml or --json, not both"),
        (["gru", "--study", "wrong.toml"], "space.lr.low must be a valid number, not 'x'"),
        (["gru", "--study", "no-table.toml"], "space and training must be tables"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(capsys, monkeypatch, home, tmp_path, words, reason):
    (tmp_path / "wrong.toml").write_text('[space.lr]\nlow = "x"\n')
    (tmp_path / "no-table.toml").write_text("space = 3\n")
    with pytest.raises(SystemExit) as left:
        said(capsys, monkeypatch, *words)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_a_module_beside_the_caller_is_found(tmp_path):
    (tmp_path / "of_mine.py").write_text("from kallos.architectures.lagged import RIDGE as MINE\n")
    # As an installed script is started: without the caller's folder among the modules' places.
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from flows.cli import main; main()", "space", "of_mine:MINE"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "alpha" in done.stdout
