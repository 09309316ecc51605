from pathlib import Path

import pytest

from flows.cli import app
from flows.tune import write_report
from kallos.errors import UsageError
from kallos.evaluation.document import write_evaluation
from kallos.events import StudyFinished
from kallos.selection import NO_CHOICE
from kallos.study_files import read_study, write_study
from tests.report_samples import best_forecasts, holdout_evaluation, study_result, write_manifest


@pytest.fixture
def folder(home, tmp_path) -> Path:
    """A folder with the files of a study, on a machine without a database or a server."""
    result = study_result(tmp_path, n_trials=5)
    folder = tmp_path / "results"
    write_study(result, str(folder))
    (folder / "gru_ABC_forecasts.json").write_text(best_forecasts(result).model_dump_json())
    return folder


def test_a_report_is_drawn_again_from_files_alone(folder, home, capsys):
    app(["report", "--params-file", f"{folder}/gru_ABC_best_params.json"])
    page = (folder / "gru_ABC_report.html").read_text()
    assert capsys.readouterr().out == f"report: {folder}/gru_ABC_report.html\n"
    assert "Not a verdict yet" in page
    assert "as the study has recorded, to the last bit" in page
    assert not home.exists()


def test_an_evaluation_brings_its_verdict(folder, tmp_path):
    (tmp_path / "evaluation.json").write_text(holdout_evaluation().model_dump_json())
    files = {
        "--study-file": folder / "gru_ABC_study.json",
        "--evaluation": tmp_path / "evaluation.json",
        "--output": tmp_path / "verdict.html",
    }
    app(["report", *(word for flag, path in files.items() for word in (flag, str(path)))])
    assert "<title>Ship it: gru on ABC</title>" in (tmp_path / "verdict.html").read_text()
    assert not (folder / "gru_ABC_report.html").exists()


def test_a_study_that_is_run_again_keeps_the_verdict_on_what_it_chose(folder):
    result = read_study(f"{folder}/gru_ABC_study.json")
    model_id = write_manifest(result, folder, result.best.number)
    write_evaluation(holdout_evaluation(model_id=model_id), str(folder))
    page = write_report.fn(StudyFinished(result, 0, 0, None), NO_CHOICE, None, "no fit was left", str(folder))
    assert "<title>Ship it: gru on ABC</title>" in Path(page).read_text()


def test_a_report_of_no_study_or_of_two_is_wrong_use():
    for files in ([], ["--study-file", "a_study.json", "--params-file", "a_best_params.json"]):
        with pytest.raises(UsageError, match="give one of --study-file and --params-file"):
            app(["report", *files])
