import json
import re

import pytest

from kallos import report
from kallos.architectures import create_model
from kallos.errors import FitError, KallosError
from kallos.specs import TuneSpec
from kallos.tuner import run_tuning
from tests.samples import by_learning_rate, make_features, small_plan, small_spec


@pytest.fixture
def result(tmp_path):
    return run_tuning(small_plan(tmp_path, make_features(390)), score_fold=by_learning_rate)


def test_the_document_says_all_that_final_training_needs(result, tmp_path):
    path = report.write_best_params(result, tmp_path / "results")
    assert path.name == "gru_ABC_best_params.json"
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["best_value"] == result.best_value
    assert (document["metric"], document["naive"], document["model_name"]) == ("rmse", "zero", "gru")
    assert (document["asset_id"], document["n_trials"], document["seed"]) == ("ABC", 3, 42)
    create_model(document["model_name"], document["best_params"])
    assert TuneSpec.model_validate(document["spec"]) == result.spec
    assert document["data"]["rows"] == 390
    assert document["versions"].keys() >= {"kallos", "darts", "torch", "optuna"}
    first, second = document["folds"]
    assert (first["train_start"], first["train_end"]) == ("2020-01-01T00:00:00", "2020-10-06T00:00:00")
    assert (first["validation_start"], first["validation_end"]) == ("2020-10-07T00:00:00", "2020-11-15T00:00:00")
    assert second["validation_start"] == "2020-11-16T00:00:00"
    assert (first["rmse"] + second["rmse"]) / 2 == pytest.approx(document["best_value"])
    assert (first["naive_rmse"] + second["naive_rmse"]) / 2 == pytest.approx(document["naive_value"])
    assert document["open_fold"]["validation_start"] == "2020-12-26T00:00:00"


def test_a_second_result_replaces_the_first_and_leaves_nothing_else(result, tmp_path):
    for _ in range(2):
        report.write_best_params(result, tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["gru_ABC_best_params.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KallosError, match=f"must be writable: {tmp_path}/file/results"):
        report.prepare_folder(tmp_path / "file" / "results")


@pytest.mark.parametrize(
    ("asset_id", "name"),
    [
        ("BTC", r"gru_BTC_best"),
        ("BRK.B", r"gru_BRK.B_best"),
        ("../BTC/USD", r"gru_BTC-USD-[0-9a-f]{6}_best"),
        ("A" * 300, r"gru_A{80}-[0-9a-f]{6}_best"),
    ],
)
def test_an_asset_of_any_name_has_a_file_of_its_own(asset_id, name, tmp_path):
    path = report.best_params_path(small_spec(data={"asset_id": asset_id}), tmp_path)
    assert path.parent == tmp_path
    assert re.match(name, path.name)


def test_artifact_keys_hold_only_what_prefect_allows():
    assert report.artifact_key("best-params", small_spec(data={"asset_id": "^GSPC_x"})) == "best-params-gru-gspc-x"


def test_every_view_sets_the_best_value_beside_the_naive_one(result):
    markdown = report.best_params_markdown(result)
    assert f"{result.best_value:.6g}" in markdown
    assert f"zero {result.naive_value:.6g}" in markdown
    assert "% worse than the naive forecast (zero)" in report.verdict(result)
    assert [row["fold"] for row in report.fold_rows(result)] == ["1", "2", "open step"]
    assert all(row["naive_rmse"] > 0 for row in report.fold_rows(result))
    assert [row["trial"] for row in report.trial_rows(result)] == [0, 1, 2]


def test_a_failed_trial_is_in_the_table_with_its_reason(tmp_path):
    def fail_first(job):
        if job.name.startswith("trial-0-"):
            raise FitError("the loss is NaN")
        return by_learning_rate(job)

    result = run_tuning(small_plan(tmp_path), score_fold=fail_first)
    row = report.trial_rows(result)[0]
    assert (row["state"], row["rmse"], row["reason"]) == ("failed", None, "the loss is NaN")
    assert report.best_params_document(result)["n_failed"] == 1
