import json
from io import BytesIO
from pathlib import Path

import fsspec
import pytest
from fsspec import AbstractFileSystem
from matplotlib import image as mpimg

from kallos.architectures import create_model
from kallos.errors import FitError, KallosError, UsageError
from kallos.report.plots import report_png
from kallos.report.rows import best_params_markdown, fold_rows, trial_rows
from kallos.specs.study import TuneSpec
from kallos.storage import prepare_folder, refuse_relative
from kallos.study.best_params import (
    BestParams,
    is_latest,
    read_best_params,
    read_latest,
    shown_address,
    since_last_run,
    write_best_params,
    write_failure,
)
from kallos.study.lines import verdict
from kallos.study.names import failure_name
from kallos.tuner import run_tuning
from tests.samples import by_learning_rate, make_features, small_plan, small_spec


@pytest.fixture
def result(tmp_path):
    return run_tuning(small_plan(tmp_path, make_features(390)), evaluate=by_learning_rate)


def test_the_document_says_all_that_final_training_needs(result, tmp_path):
    path = Path(write_best_params(BestParams.of(result), f"{tmp_path}/results"))
    assert path == tmp_path / "results" / result.study_name / "best_params.json"
    assert (tmp_path / "results" / "gru_ABC_best_params.json").read_text() == path.read_text()
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["best_value"] == result.best_value
    assert (document["metric"], document["baseline"], document["model_name"]) == ("rmse", "mean", "gru")
    assert (document["asset_id"], document["n_trials"], document["seed"]) == ("ABC", 3, 42)
    create_model(document["model_name"], document["best_params"])
    assert TuneSpec.model_validate(document["spec"]) == result.spec
    assert document["data"]["rows"] == 390
    assert document["versions"].keys() >= {"kallos", "darts", "torch", "optuna"}
    first, second = document["folds"]
    assert (first["train_start"], first["train_end"]) == ("2020-01-01T00:00:00", "2020-10-06T00:00:00")
    assert (first["validation_start"], first["validation_end"]) == ("2020-10-07T00:00:00", "2020-11-15T00:00:00")
    assert second["validation_start"] == "2020-11-16T00:00:00"
    assert (first["values"]["rmse"] + second["values"]["rmse"]) / 2 == pytest.approx(document["best_value"])
    of_baseline = (first["baseline_values"]["rmse"] + second["baseline_values"]["rmse"]) / 2
    assert of_baseline == pytest.approx(document["baseline_value"])
    assert document["current_fold"]["validation_start"] == "2020-12-26T00:00:00"


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_second_result_of_a_study_replaces_the_first_and_leaves_nothing_else(result, tmp_path):
    for _ in range(2):
        write_best_params(BestParams.of(result), f"{tmp_path}/results")
    assert files_of(tmp_path / "results") == {"gru_ABC_best_params.json", f"{result.study_name}/best_params.json"}


def test_no_result_of_another_study_replaces_a_studys_own_nor_one_of_another_target_the_latest(result, tmp_path):
    results = tmp_path / "results"
    others = {
        name: run_tuning(small_plan(tmp_path, make_features(390), **over), evaluate=by_learning_rate)
        for name, over in {
            "target": {"features": {"target": "macd"}},
            "horizon": {"horizon": 2},
            "seed": {"seed": 7},
        }.items()
    }
    write_best_params(BestParams.of(result), str(results))
    first = files_of(results)
    before = {name: (results / name).read_bytes() for name in first}
    write_best_params(BestParams.of(others["target"]), str(results))
    assert files_of(results) - first == {
        "gru_ABC_macd_best_params.json",
        f"{others['target'].study_name}/best_params.json",
    }
    assert {name: (results / name).read_bytes() for name in first} == before
    for name in ("horizon", "seed"):
        write_best_params(BestParams.of(others[name]), str(results))
        assert json.loads((results / "gru_ABC_best_params.json").read_text())["study"] == others[name].study_name
        assert read_best_params(str(results / result.study_name)) == BestParams.of(result)
    assert not is_latest(result, str(results))
    assert shown_address(result, str(results), "report.html").endswith(f"{result.study_name}/report.html")
    assert shown_address(others["seed"], str(results), "report.html").endswith("results/gru_ABC_report.html")


def test_a_copy_of_another_asset_is_none_of_this_ones_where_a_disk_does_not_tell_their_case_apart(result, tmp_path):
    write_best_params(BestParams.of(result), str(tmp_path))
    (tmp_path / "gru_ABC_best_params.json").rename(tmp_path / "gru_Abc_best_params.json")
    assert read_latest(small_spec(data={"asset_id": "Abc"}), str(tmp_path)) is None


@pytest.mark.parametrize(
    ("folder", "rule"),
    [
        ("{tmp_path}/file/results", "the output folder must be writable"),
        ("nowhere://bucket/results", "a folder must be a path or an fsspec URL that can be opened"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named(tmp_path, folder, rule):
    (tmp_path / "file").write_text("")
    folder = folder.format(tmp_path=tmp_path)
    with pytest.raises(KallosError, match=f"{rule}: {folder}: "):
        prepare_folder(folder)


def test_a_folder_in_the_place_of_a_file_is_refused_and_left_as_it_is(result, tmp_path):
    folder = tmp_path / "results"
    in_place = folder / "gru_ABC_best_params.json"
    in_place.mkdir(parents=True)
    with pytest.raises(KallosError, match=r"the output folder must be writable: .*: Is a directory"):
        write_best_params(BestParams.of(result), str(folder))
    assert list(in_place.iterdir()) == []
    assert files_of(folder) == {f"{result.study_name}/best_params.json"}


def test_results_may_lie_in_an_object_store(result):
    folder = "memory://bucket/nightly"
    prepare_folder(folder)
    address = write_best_params(BestParams.of(result), folder)
    assert address == f"memory://bucket/nightly/{result.study_name}/best_params.json"
    own = read_best_params(f"memory://bucket/nightly/{result.study_name}")
    assert own == read_latest(result.spec, folder) == BestParams.of(result)
    assert fsspec.filesystem("memory").find("/bucket") == [
        f"/bucket/nightly/{result.study_name}/best_params.json",
        "/bucket/nightly/gru_ABC_best_params.json",
    ]


def test_a_result_removes_the_note_of_an_earlier_failure_of_the_same_specification_alone(result, tmp_path):
    typo = small_spec(data={"start_date": "2099-01-01"})
    note, others = (
        Path(write_failure(failure_name(spec), str(tmp_path), {"state": "Crashed"})) for spec in (result.spec, typo)
    )
    assert (note.parent, json.loads(note.read_text())) == (tmp_path / "failures", {"state": "Crashed"})
    write_best_params(BestParams.of(result), str(tmp_path))
    assert [*note.parent.iterdir()] == [others]


def test_the_last_runs_best_is_held_against_this_ones_on_the_same_folds_alone(result, tmp_path):
    def since(**changed):
        return since_last_run(result, BestParams.of(result).model_copy(update=changed))

    assert since_last_run(result, None) == "There is no result of an earlier run."
    assert since() == f"The same as the last run's best, RMSE {result.best_value:.6g} (trial {result.best.number})."
    assert since(best_value=2 * result.best_value).startswith("50.00% better than the last run's best")
    assert since(best_value=result.best_value / 2).startswith("100.00% worse than the last run's best")
    fewer = BestParams.of(result).folds[1:]
    other_target = result.spec.model_copy(update={"horizon": 9})
    assert "not comparable" in since(folds=fewer)
    assert "not comparable" in since(spec=other_target)
    (tmp_path / "gru_ABC_best_params.json").write_text("{cut off")
    assert read_latest(result.spec, str(tmp_path)) is None


def test_every_view_sets_the_best_value_beside_the_baseline_one(result):
    markdown = best_params_markdown(result)
    assert f"{result.best_value:.6g}" in markdown
    assert f"mean {result.baseline_value:.6g}" in markdown
    assert "% worse than the baseline (mean)" in verdict(result)
    assert [row["fold"] for row in fold_rows(result)] == ["1", "2", "current window"]
    assert all(row["baseline_value"] > 0 for row in fold_rows(result))
    assert [row["trial"] for row in trial_rows(result)] == [0, 1, 2]


def test_a_failed_trial_is_in_the_table_with_its_reason(tmp_path):
    def fail_first(job):
        if job.name.startswith("trial-0-"):
            raise FitError("the loss is NaN")
        return by_learning_rate(job)

    result = run_tuning(small_plan(tmp_path), evaluate=fail_first)
    row = trial_rows(result)[0]
    assert (row["state"], row["rmse"], row["reason"]) == ("failed", None, "the loss is NaN")
    assert BestParams.of(result).n_failed == 1


def test_the_picture_of_a_study_is_as_large_as_the_ui_shows_it(result):
    height, width = mpimg.imread(BytesIO(report_png(result)), format="png").shape[:2]
    assert (width, height) == (1200, 450)


class Refuses(AbstractFileSystem):
    """A store whose keys are wrong: its library raises what it likes."""

    protocol = "refuses"

    def makedirs(self, path, exist_ok=False):
        raise Exception("no credentials for refuses://me:hunter2@host")


def test_what_a_store_says_is_one_line_without_its_password():
    fsspec.register_implementation("refuses", Refuses, clobber=True)
    with pytest.raises(KallosError) as refused:
        prepare_folder("refuses://me:hunter2@host/bucket")
    assert str(refused.value) == (
        "the output folder must be writable: refuses://***@host/bucket: no credentials for refuses://***@host"
    )


def test_a_folder_of_a_deployment_is_absolute():
    for folder in ("/results", "~/results", "s3://bucket/folder", "memory://folder"):
        refuse_relative(folder)
    with pytest.raises(UsageError, match="of a deployment must be absolute, not 'results'"):
        refuse_relative("results")
