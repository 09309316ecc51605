from pathlib import Path

import pytest

from flows.cli import app
from flows.tune import Tuned, write_report
from kallos.errors import UsageError
from kallos.report.evaluation import write_evaluation
from kallos.study.best_params import BestParams, write_best_params
from kallos.study.choice import NO_CHOICE
from kallos.study.events import StudyFinished
from kallos.study.files import read_study, write_study
from tests.report_samples import best_forecasts, holdout_evaluation, study_result, write_manifest
from tests.samples import small_plan


@pytest.fixture
def folder(home, tmp_path) -> Path:
    """A folder with the files of a study, on a machine without a database or a server."""
    result = study_result(tmp_path, n_trials=5)
    folder = tmp_path / "results" / result.study_name
    write_best_params(BestParams.of(result), str(folder.parent))
    write_study(result, str(folder))
    (folder / "forecasts.json").write_text(best_forecasts(result).model_dump_json())
    return folder


@pytest.mark.parametrize("copied", [True, False])
def test_a_report_is_drawn_again_from_files_alone(folder, home, capsys, copied):
    app(
        [
            "report",
            "--params-file",
            f"{folder.parent}/gru_ABC_best_params.json" if copied else f"{folder}/best_params.json",
        ]
    )
    page = (folder / "report.html").read_text()
    assert capsys.readouterr().out == f"report: {folder}/report.html\n"
    assert (folder.parent / "gru_ABC_report.html").read_text() == page
    assert "No verdict yet" in page
    assert "as the study has recorded, to the last bit" in page
    assert not home.exists()


def test_an_evaluation_brings_its_verdict(folder, tmp_path):
    (tmp_path / "evaluation.json").write_text(holdout_evaluation().model_dump_json())
    files = {
        "--study-file": folder / "study.json",
        "--evaluation": tmp_path / "evaluation.json",
        "--output": tmp_path / "verdict.html",
    }
    app(["report", *(word for flag, path in files.items() for word in (flag, str(path)))])
    assert "<title>Ship it: gru on ABC</title>" in (tmp_path / "verdict.html").read_text()
    assert not list(tmp_path.glob("results/**/*.html"))


def test_a_study_that_is_run_again_keeps_the_verdict_on_what_it_chose(folder, tmp_path):
    result = read_study(f"{folder}/study.json")
    results = folder.parent
    model_id = write_manifest(result, results, result.best.number)
    write_evaluation(holdout_evaluation(model_id=model_id), str(results))
    finished = StudyFinished(result, 0, 0, None)
    tuned = Tuned(small_plan(tmp_path), finished, NO_CHOICE, forecasts=None, no_forecasts="no fit was left")
    page = write_report.fn(tuned, str(results))
    assert "<title>Ship it: gru on ABC</title>" in Path(page).read_text()


def test_a_report_of_no_study_or_of_two_is_wrong_use():
    for files in ([], ["--study-file", "a_study.json", "--params-file", "a_best_params.json"]):
        with pytest.raises(UsageError, match="give one of --study-file and --params-file"):
            app(["report", *files])
