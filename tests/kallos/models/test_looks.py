import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from kallos.models.looks import Look, LookCount, count_looks, looks_in, record_look, sibling_folders
from kallos.models.registry import Registry
from tests.model_folders import make_model

LOOK = Look(
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


def like(**over) -> Look:
    """Return another look, like the first one but for these values."""
    return Look.model_validate({**LOOK.model_dump(exclude={"look_id"}), **over})


def test_a_look_is_a_file_of_its_own_that_says_all(tmp_path):
    first, second = (Path(record_look(str(tmp_path), look)) for look in (LOOK, like()))
    assert first != second
    assert first.parent == second.parent == tmp_path / "looks"
    assert first.name == f"20240401T060000Z-{LOOK.look_id}.json"
    document = json.loads(first.read_text())
    assert document == json.loads(LOOK.model_dump_json())
    assert (document["model_id"], document["decision"], document["time"]) == ("A", "keep", "2024-04-01T06:00:00Z")


def test_a_look_is_one_whether_it_was_logged_before_its_decision_or_after_or_both(tmp_path):
    before = like(decision=None)
    record_look(str(tmp_path), before)
    assert count_looks([str(tmp_path)], before) == LookCount(1, 1)
    record_look(str(tmp_path), before.model_copy(update={"decision": "ship"}))
    assert count_looks([str(tmp_path)], before) == LookCount(1, 1)
    assert [look.decision for look in looks_in(str(tmp_path))] == ["ship"]


def test_looks_at_overlapping_windows_are_counted_and_the_different_tests_that_they_are(tmp_path):
    folders = [make_model(tmp_path, model_id) for model_id in "ABC"]
    assert count_looks(folders, LOOK) == LookCount(0, 0)
    record_look(folders[0], LOOK)
    record_look(folders[0], like())
    record_look(folders[1], like(model_id="B", test_start="2024-03-31T00:00:00", test_end="2024-05-01T00:00:00"))
    record_look(folders[2], like(model_id="C", test_start="2024-04-01T00:00:00", test_end="2024-05-01T00:00:00"))
    assert count_looks(folders, LOOK) == LookCount(3, 2)
    assert count_looks([*folders, *folders, str(tmp_path / "nowhere")], LOOK) == LookCount(3, 2)
    record_look(folders[0], like(test_end="2024-03-01"))
    assert count_looks(folders, LOOK) == LookCount(4, 3)


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
    assert LOOK.overlaps(like(**other)) is overlaps
    assert like(**other).overlaps(LOOK) is overlaps


def test_row_numbers_overlap_like_dates():
    rows = like(test_start=10, test_end=20)
    assert rows.overlaps(like(test_start=20, test_end=30))
    assert not rows.overlaps(like(test_start=21, test_end=30))


def test_a_date_covers_its_whole_day():
    night = like(test_start="2024-03-31T22:00:00", test_end="2024-03-31T23:00:00")
    assert night.overlaps(like(test_end="2024-03-31"))
    assert not night.overlaps(LOOK)


@pytest.mark.parametrize(
    "over", [{"test_start": "2024-04-01"}, {"test_start": "soon"}, {"time": "2024-01-01T00:00:00"}, {"by": "me"}]
)
def test_a_look_that_cannot_be_is_refused(over):
    with pytest.raises(ValidationError):
        like(**over)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_model_and_its_looks_count_once_however_often_it_was_copied(tmp_path, where):
    folder = str(tmp_path / "models") if where == "folder" else f"memory://{uuid.uuid4().hex}/models"
    made = make_model(tmp_path / "results", "A")
    record_look(made, LOOK)
    registry = Registry(folder)
    registry.add(made)
    copied = registry.folder_of("A")
    assert count_looks([made, copied], LOOK) == LookCount(1, 1)
    record_look(copied, like())
    assert count_looks([made, copied], LOOK) == LookCount(2, 1)
    record_look(made, like())
    registry.add(made)
    assert count_looks([copied], LOOK) == LookCount(3, 1)
    registry.promote("A", "looks are none of the files that make a model")
    assert count_looks(registry.folders("ABC", "log_return_close", 1), LOOK) == LookCount(3, 1)


def test_models_beside_a_model_are_looked_for_wherever_the_command_was_given(tmp_path, monkeypatch):
    folders = [make_model(tmp_path, model_id) for model_id in "AB"]
    record_look(folders[1], like(model_id="B"))
    assert sibling_folders(folders[0]) == tuple(folders)
    monkeypatch.chdir(folders[0])
    assert [Path(folder) for folder in sibling_folders(".")] == [Path(folder) for folder in folders]
    assert count_looks(sibling_folders("../A/"), LOOK) == LookCount(1, 1)
    assert sibling_folders(str(tmp_path / "nowhere/A")) == ()


def test_siblings_in_an_object_store_keep_the_way_to_get_there():
    store = f"memory://user:s3cret@{uuid.uuid4().hex}/results"
    for model_id in "AB":
        record_look(f"{store}/{model_id}", like(model_id=model_id))
    assert sibling_folders(f"{store}/A/") == (f"{store}/A", f"{store}/B")
    assert count_looks(sibling_folders(f"{store}/A"), LOOK) == LookCount(2, 2)


def test_damaged_looks_are_counted_and_warned_of_unless_a_copy_or_the_manifest_tells_more(tmp_path, caplog):
    made, copied = make_model(tmp_path / "results", "A"), make_model(tmp_path / "copies", "A")
    other_slot = make_model(tmp_path / "results", "H", horizon=5)
    no_manifest = tmp_path / "results/X"
    readable = Path(record_look(made, LOOK))
    (Path(copied) / "looks").mkdir()
    (Path(copied) / "looks" / readable.name).write_text("{")
    for folder in (made, copied):
        (Path(folder) / "looks/damaged.json").write_text("")
    for folder in (Path(other_slot), no_manifest):
        (folder / "looks").mkdir(parents=True)
        (folder / "looks/own.json" if folder == no_manifest else folder / "looks/other.json").write_bytes(b"\xff")
    counted = count_looks([copied, made, other_slot, str(no_manifest)], LOOK)
    # What cannot be read may be any test.
    assert (counted.looks, counted.tests) == (3, 3)
    said, addresses = zip(*(record.getMessage().rsplit(": ", 1) for record in caplog.records), strict=True)
    assert set(said) == {"a look at the hold-out cannot be read, and is counted all the same"}
    assert [Path(address).name for address in addresses] == ["damaged.json", "own.json"]
