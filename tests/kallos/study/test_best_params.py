import json
from pathlib import Path

import pytest

from kallos.errors import DataError
from kallos.features.store import FeatureStore
from kallos.study.again import plan_again, study_rows
from kallos.study.best_params import read_best_params_file
from kallos.study.reproduction import reproduce, what_differs
from tests.samples import fold_result, make_features, small_plan
from tests.small_models import NO_DATABASE, finished_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return finished_study(
        tmp_path_factory.mktemp("study"),
        features={"label_horizon": 3},
        folds={"n_folds": 2, "window": 40, "holdout": 1},
    )


def store(url: str, frame) -> str:
    with FeatureStore(url) as database:
        database.write({"ABC": frame})
    return url


def test_a_finished_study_is_planned_again_as_it_was(study, tmp_path):
    rows, snapshot = study_rows(study.best, study.snapshots, features_url=NO_DATABASE)
    again = plan_again(study.best, rows, snapshot)
    plan = small_plan(tmp_path, features={"label_horizon": 3}, folds={"n_folds": 2, "window": 40, "holdout": 1})
    assert again.folds == plan.folds
    assert again.study_name == study.best.study == plan.study_name
    assert (again.baseline_values, again.holdout_start) == (plan.baseline_values, plan.holdout_start)


def test_without_a_snapshot_the_rows_come_from_the_database_which_has_more_by_now(study, tmp_path):
    url = store(f"sqlite:///{tmp_path / 'features.db'}", make_features(400))
    with_more, snapshot = study_rows(study.best, str(tmp_path / "snapshots"), features_url=url)
    assert with_more.equals(study.rows)
    # Now there is a snapshot, and the database is not asked.
    assert study_rows(study.best, str(tmp_path / "snapshots"), features_url=NO_DATABASE)[1] == snapshot


def test_rows_that_were_revised_are_refused_with_both_hashes(study, tmp_path):
    revised = make_features(400)
    revised.iloc[100, 3] += 1e-9
    url = store(f"sqlite:///{tmp_path / 'features.db'}", revised)
    with pytest.raises(DataError, match=rf"\({study.best.data.sha256[:12]}, .* has changed since \([0-9a-f]+"):
        study_rows(study.best, str(tmp_path / "snapshots"), features_url=url)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must exist"),
        ("{", "it is not JSON"),
        ("[]", "must be written by 'kallos-run tune' of this version"),
        ('{"best_params": {}}', "it lacks .*best_value"),
    ],
)
def test_a_file_that_is_no_studys_is_refused_in_one_line(tmp_path, content, said):
    file = tmp_path / "a.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=said) as raised:
        read_best_params_file(str(file))
    assert "\n" not in str(raised.value)


def test_folds_that_are_not_in_the_rows_are_refused(study):
    window = study.best.folds[0].model_copy(update={"validation_end": "2035-01-01T00:00:00"})
    altered = study.best.model_copy(update={"folds": (window,)})
    with pytest.raises(DataError, match=r"fold 1 must lie in the study's rows, and no row has one of the timestamps "):
        plan_again(altered, study.rows, "")


def test_a_best_trial_is_reproduced_to_the_bit_and_an_altered_file_is_not(study, tmp_path):
    plan = plan_again(study.best, *study_rows(study.best, study.snapshots, features_url=NO_DATABASE))
    assert what_differs(study.best, plan) == []
    assert [each.is_same for each in reproduce(study.best, plan)] == [True] * 3
    document = json.loads(Path(study.file).read_text())
    document["folds"][1]["value"] *= 1 + 2**-52
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(document))
    recorded = {fold: window.value for fold, window in enumerate(study.best.folds, start=1)}
    altered_best = read_best_params_file(str(altered))
    compared = reproduce(altered_best, plan, evaluate=lambda job: fold_result(job, recorded[job.number]))
    assert [each.is_same for each in compared] == [True, False, True]


def test_other_versions_and_other_code_are_named(study, monkeypatch):
    plan = plan_again(study.best, study.rows, "")
    other = study.best.model_copy(update={"versions": {**study.best.versions, "torch": "2.0.0"}})
    assert what_differs(other, plan) == [f"torch 2.0.0 then, {study.best.versions['torch']} now"]
    monkeypatch.setattr("kallos.scoring.job.EVALUATION_VERSION", 0)
    fresh = plan_again(study.best, study.rows, "")
    assert "the code that fits a fold" in what_differs(study.best, fresh)[0]
