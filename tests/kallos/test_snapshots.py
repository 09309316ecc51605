import numpy as np
import pandas as pd
import pytest

from kallos.snapshots import frame_sha256, read_snapshot, write_snapshot
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
    ids=["a bit", "a name", "the order", "a stamp", "a type", "a row"],
)
def test_the_hash_moves_with_any_change(change):
    assert frame_sha256(change(FRAME)) != frame_sha256(FRAME)


def test_the_hash_does_not_depend_on_how_timestamps_are_stored():
    assert frame_sha256(FRAME.set_index(FRAME.index.as_unit("s"))) == frame_sha256(FRAME)


def test_a_snapshot_may_lie_on_any_filesystem():
    address = write_snapshot(FRAME, "memory://snapshots")
    assert frame_sha256(read_snapshot(address)) == frame_sha256(FRAME)
