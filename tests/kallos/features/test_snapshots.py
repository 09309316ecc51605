import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from kallos.errors import StorageError
from kallos.features.snapshots import frame_sha256, prune_snapshots, read_snapshot, snapshot_holdings, write_snapshot
from tests.samples import make_features

FRAME = make_features(50)


@pytest.mark.parametrize("frame", [FRAME, FRAME.set_index(pd.RangeIndex(50))], ids=["timestamps", "integers"])
def test_a_snapshot_holds_the_frame_to_the_bit_under_its_hash(tmp_path, frame):
    address = write_snapshot(frame, str(tmp_path))
    assert frame_sha256(frame) in address
    again = read_snapshot(address)
    assert frame_sha256(again) == frame_sha256(frame)
    np.testing.assert_array_equal(again.to_numpy(), frame.to_numpy())
    assert [each.name for each in tmp_path.iterdir()] == [f"{frame_sha256(frame)}.parquet"]


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(macd=np.nextafter(frame["macd"], 1)),
        lambda frame: frame.rename(columns={"macd": "macd_2"}),
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.set_index(frame.index + pd.Timedelta("1ns")),
        lambda frame: frame.astype({"macd": np.float32}),
        lambda frame: frame.iloc[:-1],
    ],
    ids=["a bit", "a name", "the order", "a timestamp", "a type", "a row"],
)
def test_the_hash_moves_with_any_change(change):
    assert frame_sha256(change(FRAME)) != frame_sha256(FRAME)


def test_the_hash_does_not_depend_on_how_timestamps_are_stored():
    assert frame_sha256(FRAME.set_index(FRAME.index.as_unit("s"))) == frame_sha256(FRAME)


def test_a_snapshot_may_lie_on_any_filesystem():
    address = write_snapshot(FRAME, "memory://snapshots")
    assert frame_sha256(read_snapshot(address)) == frame_sha256(FRAME)


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def aged(folder: Path, n_rows: int, days: float) -> Path:
    """Write a snapshot, and let it be of so many days ago."""
    path = Path(write_snapshot(make_features(n_rows), str(folder)))
    os.utime(path, (time.time() - days * 86_400,) * 2)
    return path


def test_a_full_disk_leaves_no_part_of_a_snapshot(tmp_path):
    with room_for(1_000), pytest.raises(StorageError, match=r"a snapshot must be writable: .*: File too large"):
        write_snapshot(FRAME, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    write_snapshot(FRAME, str(tmp_path))


@pytest.mark.parametrize("keep", [0, 100], ids=["empty", "cut off"])
def test_a_torn_snapshot_is_written_again(tmp_path, keep):
    path = Path(write_snapshot(FRAME, str(tmp_path)))
    path.write_bytes(path.read_bytes()[:keep])
    assert write_snapshot(FRAME, str(tmp_path)) == str(path)
    assert frame_sha256(pd.read_parquet(path)) == path.stem


def test_old_snapshots_are_counted_and_removed(tmp_path):
    old, new = aged(tmp_path, 50, days=9), aged(tmp_path, 60, days=2)
    there = snapshot_holdings(str(tmp_path))
    assert (there.entries, there.size_bytes) == (2, old.stat().st_size + new.stat().st_size)
    assert there.oldest == pytest.approx(old.stat().st_mtime)
    assert prune_snapshots(str(tmp_path), written_before=time.time() - 5 * 86_400).entries == 1
    assert list(tmp_path.iterdir()) == [new]
    assert prune_snapshots(str(tmp_path), max_bytes=0).entries == 1
    assert list(tmp_path.iterdir()) == []


def test_snapshots_that_are_needed_or_planned_on_lately_stay_however_little_room_there_is(tmp_path):
    needed, lately, other = aged(tmp_path, 50, days=9), aged(tmp_path, 60, days=0), aged(tmp_path, 70, days=9)
    assert prune_snapshots(str(tmp_path), needed={needed.stem}, written_before=time.time(), max_bytes=0).entries == 1
    assert set(tmp_path.iterdir()) == {needed, lately}
    assert not other.exists()


def test_a_study_that_is_planned_again_makes_its_snapshot_new(tmp_path):
    path = aged(tmp_path, 50, days=9)
    write_snapshot(make_features(50), str(tmp_path))
    assert prune_snapshots(str(tmp_path), written_before=time.time() - 86_400).entries == 0
    assert path.exists()


def test_files_of_others_in_the_folder_stay(tmp_path):
    for name in ("mine.parquet", "README"):
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / "folder").mkdir()
    unfinished = tmp_path / f".{'0' * 64}.parquet.1-abc"
    unfinished.write_text("cut off")
    os.utime(unfinished, (0, 0))
    assert snapshot_holdings(str(tmp_path)).entries == 1
    assert prune_snapshots(str(tmp_path), max_bytes=0).entries == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["README", "folder", "mine.parquet"]


def test_snapshots_in_a_store_of_others_are_counted_and_bounded():
    store = fsspec.filesystem("memory")
    address = write_snapshot(FRAME, "memory://bounded/snapshots")
    assert snapshot_holdings("memory://bounded/snapshots").entries == 1
    assert prune_snapshots("memory://bounded/snapshots", max_bytes=0).entries == 0  # It was planned on just now.
    store.store[store._strip_protocol(address)].modified = pd.Timestamp("2020-01-01", tz="UTC").to_pydatetime()
    assert prune_snapshots("memory://bounded/snapshots", max_bytes=0).entries == 1
    assert not store.exists(address)
