import json
from pathlib import Path

import pytest

from kallos.errors import DataError, UsageError
from kallos.report.evaluation import find_evaluation, read_evaluation, write_evaluation
from kallos.study.best_params import BestParams, write_best_params
from kallos.study.files import read_study, study_address, write_study
from tests.report_samples import holdout_evaluation, study_result, write_manifest


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return study_result(tmp_path_factory.mktemp("study"))


def test_a_study_comes_back_from_its_file_as_it_was(result, tmp_path):
    path = Path(write_study(result, str(tmp_path / "results")))
    assert path.name == "study.json"
    again = read_study(str(path))
    assert again == result
    assert [trial.value for trial in again.trials] == [trial.value for trial in result.trials]
    assert {type(value) for trial in again.trials for value in trial.params.values()} == {int, float, bool}
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["format"] == 2


def test_a_study_comes_back_from_an_object_store(result):
    assert read_study(write_study(result, "memory://studies/nightly")) == result


def changed(path: Path, **fields) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda path: path.unlink(), UsageError, "must exist, and .* does not: 'kallos-run tune' writes it"),
        (lambda path: path.write_text(path.read_text()[:2000]), DataError, "is damaged: the same 'kallos-run tune'"),
        (lambda path: path.write_text("[]"), UsageError, "must be written by 'kallos-run tune'"),
        (lambda path: changed(path, kind="else"), UsageError, "must be written by 'kallos-run tune'"),
        (
            lambda path: changed(path, format=3),
            DataError,
            "have format 2, and .* has format 3, written by another version",
        ),
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


def test_the_study_is_found_by_its_best_parameters_and_by_a_copy_of_them(result, tmp_path):
    assert study_address("s3://bucket/some/best_params.json") == "s3://bucket/some/study.json"
    write_best_params(BestParams.of(result), str(tmp_path))
    whole = write_study(result, str(tmp_path / result.study_name))
    for file in ("gru_ABC_best_params.json", f"{result.study_name}/best_params.json"):
        assert study_address(str(tmp_path / file)) == whole
    with pytest.raises(DataError, match=r"must exist, and .*params\.json does not"):
        study_address(str(tmp_path / "params.json"))


def test_an_evaluation_of_something_else_is_refused(result, tmp_path):
    path = tmp_path / "evaluation.json"
    with pytest.raises(UsageError, match=r"must exist, and .* does not: run 'kallos-run evaluate' first"):
        read_evaluation(str(path), result)
    path.write_text(holdout_evaluation(asset_id="XYZ").model_dump_json())
    with pytest.raises(
        UsageError, match=r"have the study's asset, target and horizon, \('ABC', 'log_return_close', 1\)"
    ):
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
        with pytest.raises(UsageError, match=f"'kallos-run evaluate' wrote, and {path} is not: .*{said}") as refused:
            read_evaluation(str(path), result)
        assert "\n" not in str(refused.value)


def test_the_last_evaluation_of_any_model_of_this_very_study_is_found(result, tmp_path):
    def evaluated(trial, holdout_evaluations, **over):
        model_id = write_manifest(result, tmp_path, trial, **over)
        evaluation = holdout_evaluation(model_id=model_id, holdout_evaluations=holdout_evaluations)
        write_evaluation(evaluation, str(tmp_path))
        return evaluation

    best, other = result.best.number, next(each.number for each in result.trials if each.number != result.best.number)
    assert find_evaluation(result, str(tmp_path / "none")) is None
    evaluated(best, holdout_evaluations=9, study="gru-ABC-0000000000000000")
    assert find_evaluation(result, str(tmp_path)) is None
    cheapest = evaluated(other, holdout_evaluations=5)
    assert find_evaluation(result, str(tmp_path)) == cheapest
    first, last = evaluated(best, holdout_evaluations=6), evaluated(best, holdout_evaluations=7, refit="median-epochs")
    assert find_evaluation(result, str(tmp_path)) == last
    (tmp_path / f"{last.model_id}_evaluation.json").write_text("{")
    write_evaluation(holdout_evaluation(model_id="unknown", holdout_evaluations=8), str(tmp_path))
    assert find_evaluation(result, str(tmp_path)) == first
