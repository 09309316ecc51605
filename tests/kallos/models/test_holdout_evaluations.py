import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from kallos.models.holdout_evaluations import (
    EvaluationCount,
    EvaluationRecord,
    count_evaluations,
    evaluations_in,
    record_evaluation,
    sibling_folders,
)
from kallos.models.registry import Registry
from tests.model_folders import make_model

EVALUATION = EvaluationRecord(
    model_id="A",
    asset_id="ABC",
    target="log_return_close",
    horizon=1,
    test_start="2024-01-01T00:00:00",
    test_end="2024-03-31T00:00:00",
    data_sha256="5e" * 32,
    time=datetime(2024, 4, 1, 6, tzinfo=UTC),
    decision="keep",
)


def like(**over) -> EvaluationRecord:
    """Return another evaluation, like the first one but for these values."""
    return EvaluationRecord.model_validate({**EVALUATION.model_dump(exclude={"evaluation_id"}), **over})


def test_an_evaluation_is_a_file_of_its_own_that_says_all(tmp_path):
    first, second = (Path(record_evaluation(str(tmp_path), evaluation)) for evaluation in (EVALUATION, like()))
    assert first != second
    assert first.parent == second.parent == tmp_path / "holdout_evaluations"
    assert first.name == f"20240401T060000Z-{EVALUATION.evaluation_id}.json"
    document = json.loads(first.read_text())
    assert document == json.loads(EVALUATION.model_dump_json())
    assert (document["model_id"], document["decision"], document["time"]) == ("A", "keep", "2024-04-01T06:00:00Z")


def test_an_evaluation_is_one_whether_it_was_logged_before_its_decision_or_after_or_both(tmp_path):
    before = like(decision=None)
    record_evaluation(str(tmp_path), before)
    assert count_evaluations([str(tmp_path)], before) == EvaluationCount(1, 1)
    record_evaluation(str(tmp_path), before.model_copy(update={"decision": "ship"}))
    assert count_evaluations([str(tmp_path)], before) == EvaluationCount(1, 1)
    assert [evaluation.decision for evaluation in evaluations_in(str(tmp_path))] == ["ship"]


def test_evaluations_on_overlapping_windows_are_counted_and_the_different_tests_that_they_are(tmp_path):
    folders = [make_model(tmp_path, model_id) for model_id in "ABC"]
    assert count_evaluations(folders, EVALUATION) == EvaluationCount(0, 0)
    record_evaluation(folders[0], EVALUATION)
    record_evaluation(folders[0], like())
    record_evaluation(folders[1], like(model_id="B", test_start="2024-03-31T00:00:00", test_end="2024-05-01T00:00:00"))
    record_evaluation(folders[2], like(model_id="C", test_start="2024-04-01T00:00:00", test_end="2024-05-01T00:00:00"))
    assert count_evaluations(folders, EVALUATION) == EvaluationCount(3, 2)
    assert count_evaluations([*folders, *folders, str(tmp_path / "nowhere")], EVALUATION) == EvaluationCount(3, 2)
    record_evaluation(folders[0], like(test_end="2024-03-01"))
    assert count_evaluations(folders, EVALUATION) == EvaluationCount(4, 3)


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        ({"test_start": "2024-03-31", "test_end": "2024-06-30"}, True),
        ({"test_start": "2023-01-01", "test_end": "2024-01-01"}, True),
        ({"test_start": "2023-01-01", "test_end": "2023-12-31"}, False),
        ({"test_start": "2024-02-01T12:00:00", "test_end": "2024-02-01T13:00:00"}, True),
        ({"test_start": "2024-03-31T01:00:00+01:00", "test_end": "2024-06-30T00:00:00Z"}, True),
        ({"test_start": "2024-03-31T00:00:01", "test_end": "2024-06-30"}, False),
        ({"test_start": 10, "test_end": 20}, True),
        ({"asset_id": "D"}, False),
        ({"target": "close"}, False),
        ({"horizon": 5}, False),
        ({"data_sha256": "other", "model_id": "B", "decision": None}, True),
    ],
)
def test_what_overlaps_is_of_one_slot_and_shares_a_moment(other, overlaps):
    assert EVALUATION.overlaps(like(**other)) is overlaps
    assert like(**other).overlaps(EVALUATION) is overlaps


def test_row_numbers_overlap_like_dates():
    rows = like(test_start=10, test_end=20)
    assert rows.overlaps(like(test_start=20, test_end=30))
    assert not rows.overlaps(like(test_start=21, test_end=30))


def test_a_date_covers_its_whole_day():
    night = like(test_start="2024-03-31T22:00:00", test_end="2024-03-31T23:00:00")
    assert night.overlaps(like(test_end="2024-03-31"))
    assert not night.overlaps(EVALUATION)


@pytest.mark.parametrize(
    "over", [{"test_start": "2024-04-01"}, {"test_start": "soon"}, {"time": "2024-01-01T00:00:00"}, {"by": "me"}]
)
def test_an_evaluation_that_cannot_be_is_refused(over):
    with pytest.raises(ValidationError):
        like(**over)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_model_and_its_evaluations_count_once_however_often_it_was_copied(tmp_path, where):
    folder = str(tmp_path / "models") if where == "folder" else f"memory://{uuid.uuid4().hex}/models"
    made = make_model(tmp_path / "results", "A")
    record_evaluation(made, EVALUATION)
    registry = Registry(folder)
    registry.add(made)
    copied = registry.folder_of("A")
    assert count_evaluations([made, copied], EVALUATION) == EvaluationCount(1, 1)
    record_evaluation(copied, like())
    assert count_evaluations([made, copied], EVALUATION) == EvaluationCount(2, 1)
    record_evaluation(made, like())
    registry.add(made)
    assert count_evaluations([copied], EVALUATION) == EvaluationCount(3, 1)
    registry.promote("A", "evaluations are none of the files that make a model")
    assert count_evaluations(registry.folders("ABC", "log_return_close", 1), EVALUATION) == EvaluationCount(3, 1)


def test_models_beside_a_model_are_looked_for_wherever_the_command_was_given(tmp_path, monkeypatch):
    folders = [make_model(tmp_path, model_id) for model_id in "AB"]
    record_evaluation(folders[1], like(model_id="B"))
    assert sibling_folders(folders[0]) == tuple(folders)
    monkeypatch.chdir(folders[0])
    assert [Path(folder) for folder in sibling_folders(".")] == [Path(folder) for folder in folders]
    assert count_evaluations(sibling_folders("../A/"), EVALUATION) == EvaluationCount(1, 1)
    assert sibling_folders(str(tmp_path / "nowhere/A")) == ()


def test_siblings_in_an_object_store_keep_the_way_to_get_there():
    store = f"memory://user:s3cret@{uuid.uuid4().hex}/results"
    for model_id in "AB":
        record_evaluation(f"{store}/{model_id}", like(model_id=model_id))
    assert sibling_folders(f"{store}/A/") == (f"{store}/A", f"{store}/B")
    assert count_evaluations(sibling_folders(f"{store}/A"), EVALUATION) == EvaluationCount(2, 2)


def test_damaged_evaluations_are_counted_and_warned_of_unless_a_copy_or_the_manifest_tells_more(tmp_path, caplog):
    made, copied = make_model(tmp_path / "results", "A"), make_model(tmp_path / "copies", "A")
    other_slot = make_model(tmp_path / "results", "H", horizon=5)
    no_manifest = tmp_path / "results/X"
    readable = Path(record_evaluation(made, EVALUATION))
    (Path(copied) / "holdout_evaluations").mkdir()
    (Path(copied) / "holdout_evaluations" / readable.name).write_text("{")
    for folder in (made, copied):
        (Path(folder) / "holdout_evaluations/damaged.json").write_text("")
    for folder in (Path(other_slot), no_manifest):
        (folder / "holdout_evaluations").mkdir(parents=True)
        (
            folder / "holdout_evaluations/own.json"
            if folder == no_manifest
            else folder / "holdout_evaluations/other.json"
        ).write_bytes(b"\xff")
    counted = count_evaluations([copied, made, other_slot, str(no_manifest)], EVALUATION)
    # What cannot be read may be any test.
    assert (counted.holdout_evaluations, counted.tests) == (3, 3)
    said, addresses = zip(*(record.getMessage().rsplit(": ", 1) for record in caplog.records), strict=True)
    assert set(said) == {"cannot read a hold-out evaluation, so it is counted for this hold-out"}
    assert [Path(address).name for address in addresses] == ["damaged.json", "own.json"]
