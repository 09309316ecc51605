import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kallos.errors import StorageError
from kallos.storage import Folder, Holdings, json_sha256, read_at, split_address, surplus, write_at


@pytest.fixture(params=["folder", "memory"])
def folder(request, tmp_path) -> Folder:
    """A folder that is not there yet, of this machine or of an object store."""
    return Folder(str(tmp_path / "made") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/made")


def test_what_is_written_is_read_back_and_is_gone_when_it_is_removed(folder):
    assert folder.read("a.json") is None
    assert folder.write("a.json", "ä") == folder.address("a.json") == f"{folder.url}/a.json"
    assert folder.read("a.json") == "ä".encode()
    folder.write("a.json", b"\xff", is_checked=True)
    assert folder.read("a.json") == b"\xff"
    for _ in range(2):
        folder.remove("a.json")
    assert folder.read("a.json") is None


def test_an_object_is_read_and_what_is_none_is_none(folder):
    folder.write("a.json", '{"b": [1]}')
    assert folder.read_object("a.json") == {"b": [1]}
    for damaged in ("", "[1]", '{"b"', "[" * 10**5, b"\xff"):
        folder.write("a.json", damaged)
        assert folder.read_object("a.json") is None
    assert folder.read_object("none.json") is None


def test_what_a_folder_holds_is_listed_by_name_and_hidden_files_are_not(folder):
    assert (folder.names(), folder.folders(), folder.files(), folder.stored()) == ((), (), (), [])
    for name in ("b.json", "a/c.json", "a/d/e.json", ".hidden", "a/.hidden", ".f/g"):
        folder.write(name, "four")
    assert folder.names() == (".f", ".hidden", "a", "b.json")
    assert folder.folders() == ("a",)
    assert folder.files() == ("a/c.json", "a/d/e.json", "b.json")
    assert (folder / "a").files() == ("c.json", "d/e.json")
    assert {(file.name, file.size) for file in folder.stored()} == {(name, 4) for name in folder.files()}


def test_a_whole_folder_is_written_at_once_and_cleared(folder):
    files = {"weights": b"1", "holdout_evaluations/a.json": b"2", "manifest.json": b"3"}
    folder.write_all(files)
    assert {name: folder.read(name) for name in folder.files()} == files
    assert Folder(split_address(folder.url)[0]).names() == ("made",)
    for _ in range(2):
        folder.clear()
    assert folder.names() == ()


def test_many_writers_of_one_name_leave_one_whole_file(folder):
    contents = [letter * 10_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: folder.write("a", contents[number % 8]), range(80)))
    assert folder.read("a").decode() in contents
    assert folder.names() == ("a",)


def test_a_folder_that_holds_something_is_not_replaced(tmp_path):
    folder = Folder(str(tmp_path / "made"))
    folder.write(".mine", "")
    with pytest.raises(StorageError, match=r"must be writable: .*/made: Directory not empty"):
        folder.write_all({"a": b""})
    assert folder.names() == (".mine",)
    assert Folder(str(tmp_path)).names() == ("made",)


@pytest.mark.parametrize("write", [lambda it: it.write("a", "new"), lambda it: (it / "b").write_all({"a": b"new"})])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, write):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = Folder(str(tmp_path))
    folder.write("a", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=r"the output folder must be writable: .*: No space left on device"):
        write(folder)
    assert folder.names() == ("a",)
    assert folder.read("a") == b"old"


def test_a_store_that_fails_in_the_midst_of_a_folder_keeps_no_part_of_it(monkeypatch):
    folder = Folder(f"memory://me:secret@{uuid.uuid4().hex}/made", "a model")
    put = type(folder._filesystem).pipe_file

    def fail(self, path: str, value: bytes) -> None:
        if path.endswith("/b"):
            raise RuntimeError(f"no room in {folder.url}")
        put(self, path, value)

    monkeypatch.setattr(type(folder._filesystem), "pipe_file", fail)
    with pytest.raises(
        StorageError, match=r"a model must be writable: memory://\*\*\*@.*: no room in memory://\*\*\*@"
    ):
        folder.write_all({"a": b"1", "b": b"2"})
    assert folder.files() == ()


def test_what_killed_writers_left_is_seen_after_an_hour_and_removed_by_who_holds_the_folder(tmp_path):
    folder = Folder(str(tmp_path))
    left = [f".a.json.{uuid.uuid4().hex}", f".model.{uuid.uuid4().hex}/weights"]
    for name in (*left, ".lock", "a.json"):
        folder.write(name, "")
    assert [file.name for file in folder.stored()] == ["a.json"]
    os.utime(tmp_path / left[0], (0, 0))
    assert sorted((file.name, file.written) for file in folder.stored())[0] == (left[0], 0)
    folder.remove_unfinished()
    assert folder.names() == (".lock", "a.json")


def test_a_file_that_vanishes_while_it_is_listed_is_passed_over(tmp_path, monkeypatch):
    folder = Folder(str(tmp_path))
    for name in ("a", "b"):
        folder.write(name, "")
    stat = Path.stat

    def vanish(path: Path, **how: bool) -> os.stat_result:
        if path.name == "a":
            path.unlink(missing_ok=True)
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", vanish)
    assert folder.files() == ("b",)


def test_what_is_older_or_too_much_is_surplus():
    folder = Folder(f"memory://{uuid.uuid4().hex}")
    for name in "abc":
        folder.write(name, "1234")
    files = sorted(folder.stored(), key=lambda file: file.written)
    assert Holdings.of(files) == Holdings(3, 12, files[0].written)
    assert Holdings.of([]) == Holdings(0, 0, None)
    assert surplus(files, written_before=files[2].written) == files[1::-1]
    assert surplus(files, max_bytes=7) == files[1::-1]
    assert surplus(files) == []


def test_a_file_has_an_address(tmp_path, monkeypatch):
    assert split_address("s3://bucket/folder/a.json") == ("s3://bucket/folder", "a.json")
    monkeypatch.chdir(tmp_path)
    assert write_at("a.json", "1") == "./a.json"
    assert read_at("a.json") == read_at(f"file://{tmp_path}/a.json") == b"1"
    assert read_at(str(tmp_path / "none.json")) is None


def test_the_hash_of_a_value_does_not_depend_on_the_order_of_its_keys():
    value = {"b": 0.1 + 0.2, "a": [1, None, "ä"]}
    assert json_sha256(value) == json_sha256(json.loads(json.dumps({"a": value["a"], "b": value["b"]})))
    assert json_sha256(value) != json_sha256({**value, "b": 0.3})
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_sha256(float("nan"))
