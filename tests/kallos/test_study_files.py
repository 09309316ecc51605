import json
from pathlib import Path

import pytest

from kallos.errors import DataError, UsageError
from kallos.evaluation.document import write_evaluation
from kallos.study_files import read_evaluation, read_study, study_address, write_study
from tests.report_samples import holdout_evaluation, study_result


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return study_result(tmp_path_factory.mktemp("study"))


def test_a_study_comes_back_from_its_file_as_it_was(result, tmp_path):
    path = Path(write_study(result, str(tmp_path / "results")))
    assert path.name == "gru_ABC_study.json"
    again = read_study(str(path))
    assert again == result
    assert [trial.value for trial in again.trials] == [trial.value for trial in result.trials]
    assert {type(value) for trial in again.trials for value in trial.params.values()} == {int, float, bool}
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["format"] == 1


def test_a_study_comes_back_from_an_object_store(result):
    assert read_study(write_study(result, "memory://studies/nightly")) == result


def changed(path: Path, **fields) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda path: path.unlink(), UsageError, "must be there: .* is not; 'kallos-run tune' writes it"),
        (lambda path: path.write_text(path.read_text()[:2000]), DataError, "is damaged; the same 'kallos-run tune'"),
        (lambda path: path.write_text("[]"), UsageError, "must be one that 'kallos-run tune' wrote"),
        (lambda path: changed(path, kind="else"), UsageError, "must be one that 'kallos-run tune' wrote"),
        (lambda path: changed(path, format=2), DataError, "of format 1: .* is of format 2, by another version"),
        (lambda path: changed(path, result={"best": 1}), DataError, "is damaged at best"),
        (lambda path: changed(path, result=None), DataError, "is damaged at result"),
    ],
)
def test_a_file_that_is_no_whole_study_is_refused_in_a_line(result, tmp_path, spoil, error, said):
    path = Path(write_study(result, str(tmp_path)))
    spoil(path)
    with pytest.raises(error, match=said) as refused:
        read_study(str(path))
    assert "\n" not in str(refused.value)


def test_the_study_lies_beside_its_best_parameters():
    assert study_address("s3://bucket/gru_ABC_best_params.json") == "s3://bucket/gru_ABC_study.json"
    with pytest.raises(UsageError, match=r"not in params\.json: give that one"):
        study_address("params.json")


def test_an_evaluation_of_something_else_is_refused(result, tmp_path):
    path = tmp_path / "evaluation.json"
    with pytest.raises(UsageError, match="must be there"):
        read_evaluation(str(path), result)
    path.write_text(holdout_evaluation(asset_id="XYZ").model_dump_json())
    with pytest.raises(UsageError, match=r"of the study's asset, target and horizon \('ABC', 'log_return_close', 1\)"):
        read_evaluation(str(path), result)


def test_an_evaluation_comes_back_from_its_document_and_another_file_is_refused_in_a_line(result, tmp_path):
    path = Path(write_evaluation(holdout_evaluation(), str(tmp_path)))
    assert path.name == "gru-ABC-1_evaluation.json"
    assert read_evaluation(str(path), result) == holdout_evaluation()
    whole = path.read_text()
    for text, said in (
        (whole.replace('"ship"', '"perhaps"'), r"verdict\.decision must be 'ship'"),
        ("{}", "model_id is missing"),
        (whole[:99], "invalid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=f"'kallos-run evaluate' wrote, and {path} is none: .*{said}") as refused:
            read_evaluation(str(path), result)
        assert "\n" not in str(refused.value)
