"""Whatever a file holds, it is imported as it is or refused in one line, and the database is then as it was."""

import sqlite3
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.errors import KallosError
from kallos.features.files.features import read_features
from kallos.features.files.ingest import ingest_prices
from kallos.features.files.prices import BARS, read_bars
from kallos.features.files.rows import InputReading
from kallos.features.files.sources import find_sources
from kallos.features.store import FeatureStore
from kallos.features.writing import write_features
from kallos.specs.data import DataSpec

HEADER = "date,asset,open,high,low,close,volume"
ROWS = [f"2024-01-{day:02d},BTC,{day}.5,{day + 2},{day},{day + 1},{day * 100}" for day in range(1, 6)]
GOOD = "\n".join([HEADER, *ROWS]) + "\n"
CLOSES = [2.0, 3.0, 4.0, 5.0, 6.0]


class Door:
    """A database with rows in it, and the way in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "features.db"
        self.url = f"sqlite:///{self.file}"
        index = pd.date_range("2020-01-01", periods=3, name="timestamp", unit="ns")
        write_features({"OLD": pd.DataFrame(dict.fromkeys(BARS, 1.0), index=index)}, self.url, "bars")

    def dump(self) -> list[str]:
        with sqlite3.connect(self.file) as connection:
            return list(connection.iterdump())

    def take(self, path: Path, kind: str = "prices", **reading: Any) -> dict[str, pd.DataFrame] | str:
        """Import a file; return what the database has of it then, or the line that refuses it."""
        before = self.dump()
        try:
            read = read_bars if kind == "prices" else read_features
            frames = read(find_sources([path]), InputReading(**reading)).frames
            table = "bars" if kind == "prices" else "own"
            write_features(frames, self.url, table)
        except KallosError as error:
            assert self.dump() == before
            line = str(error)
            assert "\n" not in line
            assert "\r" not in line
            assert str(path.name) in line or "PostgreSQL" in line or "SQLite" in line
            assert len(line) < 2_000
            return line
        with FeatureStore(self.url) as store:
            return {
                asset: store.load(DataSpec(asset_id=asset, features_table=table, frequency="sessions"))
                for asset in frames
            }

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


# CSV files that are as good as any


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        "\n".join([HEADER, "\r\n".join(ROWS[:2]), "\r".join(ROWS[2:])]).encode(),
        GOOD.rstrip("\n").encode(),
        ("\n\n" + GOOD + "\n\n  \n").encode(),
        ('"' + GOOD.replace(",", '","').replace("\n", '"\n"')[:-1]).encode(),
        GOOD.replace(",", " , ").encode(),
        GOOD.replace("\n", ",\n").encode(),
        GOOD.replace(HEADER, HEADER.upper()).encode(),
        GOOD.replace(",3,", ",3e0,").replace(",4,", ",+4.,").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace(",", "|").encode(),
        ("Bars, daily\n" + GOOD).replace("Bars, daily", '"Bars, daily"').encode(),
        ("Bars,,,,,,\n\nof a broker\n" + GOOD).encode(),
    ],
    ids=[
        "plain",
        "BOM",
        "CRLF",
        "CR",
        "mixed line ends",
        "no last line end",
        "blank lines",
        "all quoted",
        "spaces",
        "a column without a name",
        "upper case",
        "other ways to write numbers",
        "semicolons",
        "tabs",
        "bars",
        "a title",
        "titles, one as wide as the table",
    ],
)
def test_a_csv_file_that_is_only_unusual_is_imported(door: Door, content: bytes) -> None:
    taken = door.take(door.put("bars.csv", content))

    assert isinstance(taken, dict), taken
    assert taken["BTC"]["close"].tolist() == CLOSES
    assert [str(timestamp.date()) for timestamp in taken["BTC"].index] == [row[:10] for row in ROWS]


@pytest.mark.parametrize("name", ["b.csv.gz", "b.csv.bz2", "b.csv.xz", "b.csv.zip", "b.csv.zst"])
def test_a_packed_csv_file_is_imported_and_one_that_is_cut_short_refused(door: Door, name: str) -> None:
    path = door.folder / name
    if name.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(GOOD.encode())
    else:
        pd.read_csv(door.put("plain.csv", GOOD.encode())).to_csv(path, index=False)

    taken = door.take(path)
    assert isinstance(taken, dict), taken
    assert taken["BTC"]["close"].tolist() == CLOSES

    path.write_bytes(path.read_bytes()[:-20])
    assert isinstance(door.take(path), str)


def test_a_file_is_taken_by_its_very_name(door: Door) -> None:
    taken = door.take(door.put("~zip::b?*.csv", GOOD.encode()))
    assert isinstance(taken, dict), taken
    assert taken["BTC"]["close"].tolist() == CLOSES


# CSV files that are none


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\n\n", "it is empty"),
        ((HEADER + "\n").encode(), "must have at least one row"),
        (GOOD.encode("utf-16"), "it is UTF-16"),
        (GOOD.encode("utf-16-be"), "NUL"),
        (GOOD.replace("BTC", "Zürich").encode("latin-1"), "byte 0xfc is not UTF-8"),
        (GOOD.replace(",4,", ",4\0,").encode(), "must be numbers"),
        (GOOD.replace("BTC", "B\0C").encode(), "NUL"),
        ((GOOD + '2024-01-06,BTC,"1,2,3,4,5\n').encode(), "unexpected end of data"),
        (GOOD.encode()[:-14], "line 6: 3 fields, and the header has 7"),
        (GOOD.replace(HEADER, HEADER + ",close").encode(), "'close' more than once"),
        (GOOD.replace("2024-01-03", "20240103").encode(), "not numbers"),
        (GOOD.replace("2024-01-03", "03/01/2024").encode(), "line 4: asset 'BTC' has '03/01/2024'"),
        (GOOD.replace("2024-01-03", "today").encode(), "line 4: asset 'BTC' has 'today'"),
        (GOOD.replace(",4,", ',"4,000",').encode(), "'4,000'"),
        (GOOD.replace(",4,", ",1e999,").encode(), "high inf"),
        (GOOD.replace(",4,", ",1_000,").encode(), "'1_000'"),
        (GOOD.replace(",4,", ",٤,").encode(), "'٤'"),
        (GOOD.replace(",4,", ",,").encode(), "must be finite"),
        (GOOD.replace("BTC", "x" * 200_000).encode(), "field larger than field limit"),
        (GOOD.replace("BTC", "x" * 100_000).encode(), "at most 200 characters"),
        (bytes(range(256)) * 50, "must be CSV, Parquet or feather"),
        (b"PAR1" + bytes(1000) + b"PAR1", "must be CSV, Parquet or feather"),
    ],
)
def test_a_csv_file_that_is_damaged_is_refused(door: Door, content: bytes, reason: str) -> None:
    line = door.take(door.put("bars.csv", content))

    assert isinstance(line, str), line
    assert reason in line


def test_line_numbers_are_those_of_an_editor(door: Door) -> None:
    quoted = '2024-01-02,"B\nT\nC",1,2,1,2,3'
    content = "\r\n".join(["", HEADER, ROWS[0], "", quoted, ROWS[2].replace(",3.5,", ",three,"), ""])

    line = door.take(door.put("bars.csv", content.encode()))

    # An editor shows the quoted row on the lines 5 to 7.
    assert isinstance(line, str), line
    assert "line 8: asset 'BTC' has open 'three'" in line
    line = door.take(door.put("bars.csv", content.replace(",1,2,1,2,3", ",two,2,1,2,3").encode()))
    assert isinstance(line, str)
    assert r"line 5: asset 'B\nT\nC' has open 'two' at 2024-01-02 00:00:00 (and line 8)" in line


def test_ten_thousand_columns_are_more_than_a_table_has_and_prices_among_them_are_found(door: Door) -> None:
    names = [f"c{at}" for at in range(10_000)]
    content = "\n".join([",".join([HEADER, *names]), *(row + ",1" * len(names) for row in ROWS)]).encode()
    path = door.put("wide.csv", content)

    line = door.take(path, "features")
    taken = door.take(path)

    assert isinstance(line, str)
    assert "at most 2000 columns" in line
    assert isinstance(taken, dict)
    assert taken["BTC"]["close"].tolist() == CLOSES


# Parquet files


def parquet(door: Door, **columns: Any) -> Path:
    days = [pd.Timestamp(row[:10]) for row in ROWS]
    table = {"timestamp": pa.array(days), "asset": pa.array(["BTC"] * 5), **columns}
    path = door.folder / "own.parquet"
    pq.write_table(pa.table(table), path)
    return path


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            pa.array([Decimal("0.1"), Decimal("1.23"), None, Decimal("-4.56"), Decimal("7")]),
            [0.1, 1.23, None, -4.56, 7],
        ),
        (pa.array([1, 2, None, 3, 4], pa.int8()), [1, 2, None, 3, 4]),
        (pa.array([0, 2**63, 2**64 - 1, 1, 2], pa.uint64()), [0, 2.0**63, 2.0**64, 1, 2]),
        (pa.array([-(2**63), 2**53 + 1, 0, 1, 2], pa.int64()), [-(2.0**63), 2.0**53, 0, 1, 2]),
        (pa.array([0.1, None, 1.5, 5, 6], pa.float32()), [float(np.float32(0.1)), None, 1.5, 5, 6]),
        (pa.array(np.array([0.5, 1.5, 2, 3, 4], np.float16)), [0.5, 1.5, 2, 3, 4]),
        (pa.array(["1.5", "2", None, "", "1e3"]), [1.5, 2, None, None, 1000]),
        (pa.array(["1", "2", "1", "2", "1"]).dictionary_encode(), [1, 2, 1, 2, 1]),
        (pa.array([None] * 5), [None] * 5),
    ],
    ids=["decimal", "int8", "uint64", "int64", "float32", "float16", "text", "categorical", "nothing"],
)
def test_parquet_numbers_become_the_nearest_floats(door: Door, values: pa.Array, expected: list[float | None]) -> None:
    taken = door.take(parquet(door, x=values, y=pa.array([1.0] * 5)), "features")

    assert isinstance(taken, dict), taken
    wanted = np.array([np.nan if each is None else each for each in expected], np.float64)
    assert taken["BTC"]["x"].to_numpy(np.float64).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([[1.0]] * 5), "list<"),
        (pa.array([{"a": 1}] * 5), "struct<"),
        (pa.array([True] * 5), "bool"),
        (pa.array([b"1"] * 5), "binary"),
        (pa.array(["a", "b", "a", "b", "a"]).dictionary_encode(), "column 'x' of"),
        (pa.array([pd.Timestamp("2024-01-01")] * 5), "timestamp"),
        (pa.array([1.0, 2.0, np.inf, -np.inf, 3.0]), "row 3: asset 'BTC' has x inf at 2024-01-03 00:00:00 (and row 4)"),
    ],
    ids=["list", "struct", "bool", "bytes", "categories", "dates", "infinity"],
)
def test_parquet_columns_that_are_no_numbers_are_refused(door: Door, values: pa.Array, reason: str) -> None:
    line = door.take(parquet(door, x=values), "features")

    assert isinstance(line, str), line
    assert reason in line


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("timestamp", pa.array([[1]] * 5), "holds list<"),
        ("timestamp", pa.array([1.5] * 5), "holds numbers such as 1.5"),
        ("timestamp", pa.array([None] * 5, pa.timestamp("us")), "every row must have a date"),
        ("timestamp", pa.array([1, 2, 3, 4, 2**62], pa.timestamp("us")), "between 1678 and 2261"),
        ("timestamp", pa.array([1, 2, 3, 4, 2**31 - 1], pa.date32()), "between 1678 and 2261"),
        ("timestamp", pa.array([1] * 5, pa.time64("us")), "holds time64[us]"),
        ("timestamp", pa.array([2**62] * 5, pa.duration("s")), "holds duration[s]"),
        ("timestamp", pa.array([1, 2000, 3000, 4000, 5000], pa.timestamp("ns")), "whole microseconds"),
        ("asset", pa.array([1.0] * 5), "text or integers"),
        ("asset", pa.array([["BTC"]] * 5), "text or integers"),
        ("asset", pa.array(["BTC", None, "", " ", "BTC"]), "row 2: column 'asset' has none (and rows 3, 4)"),
    ],
)
def test_parquet_keys_that_are_none_are_refused(door: Door, column: str, values: pa.Array, reason: str) -> None:
    line = door.take(parquet(door, **{"x": pa.array([1.0] * 5), column: values}), "features")

    assert isinstance(line, str), line
    assert reason in line


@pytest.mark.parametrize("column", ["asset", "timestamp", "x"])
def test_parquet_text_that_is_not_utf_8_is_refused(door: Door, column: str) -> None:
    text = pa.array([b"2024-01-01", b"\xff", b"b", b"c", b"d"])
    damaged = pa.StringArray.from_buffers(5, *text.buffers()[1:])

    line = door.take(parquet(door, **{"x": pa.array([1.0] * 5), column: damaged}), "features")

    assert isinstance(line, str)
    assert "UTF8" in line


def test_a_frame_that_pandas_saved_with_its_index_keeps_it(door: Door) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index=pd.date_range("2024-01-01", periods=3, name="date"))
    frame.to_parquet(door.folder / "own.parquet")

    taken = door.take(door.folder / "own.parquet", "features", asset_id="BTC")

    assert isinstance(taken, dict), taken
    assert taken["BTC"]["x"].to_dict() == frame["x"].to_dict()


# Anything else


@settings(max_examples=60)
@given(data=st.data())
def test_a_csv_file_with_bytes_changed_is_imported_whole_or_not_at_all(data: st.DataObject) -> None:
    content = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        cut = data.draw(st.integers(0, 3))
        content[at : at + cut] = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b",", b"\r", b"\n"]))
        )
    with tempfile.TemporaryDirectory() as folder:
        door = Door(Path(folder))
        taken = door.take(door.put("bars.csv", bytes(content)))
        if isinstance(taken, dict):
            for frame in taken.values():
                assert (frame[list(BARS[:4])] > 0).all(axis=None)
            # Rows are never lost without a word: a row is a line that is not blank, or part of a quoted one.
            assert sum(map(len, taken.values())) <= len(bytes(content).splitlines()) - 1


@settings(max_examples=30)
@given(cut=st.integers(0, 3_000), flips=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 255)), max_size=3))
def test_a_parquet_file_that_is_cut_or_changed_is_imported_or_refused(cut: int, flips: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        door = Door(Path(folder))
        path = parquet(door, x=pa.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        content = bytearray(path.read_bytes())
        for at, change in flips:
            content[at % len(content)] ^= change
        path.write_bytes(bytes(content[: len(content) - cut % len(content)]))
        taken = door.take(path, "features")
        if not flips and cut % len(content) == 0:
            assert isinstance(taken, dict)


@settings(max_examples=40)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    asset=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip),
    name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
        lambda name: name.strip() and name.strip().lower() not in {"date", "asset", "timestamp", "asset_id"}
    ),
    timestamps=st.data(),
)
def test_any_names_and_numbers_come_back_to_the_bit(
    values: list[float], asset: str, name: str, timestamps: st.DataObject
) -> None:
    moments = timestamps.draw(
        st.lists(
            st.datetimes(pd.Timestamp("1678-01-02"), pd.Timestamp("2261-12-30")),
            min_size=len(values),
            max_size=len(values),
            unique=True,
        )
    )
    if name.strip().lower() in {"symbol", "ticker", "time", "datetime"}:
        return
    frame = pd.DataFrame({"date": [moment.isoformat() for moment in moments], "asset": asset, name: values})
    expected = pd.Series(np.array(values) + 0.0, index=pd.DatetimeIndex(moments)).sort_index()
    for save in ("to_csv", "to_parquet"):
        with tempfile.TemporaryDirectory() as folder:
            door = Door(Path(folder))
            path = door.folder / ("own.csv" if save == "to_csv" else "own.parquet")
            getattr(frame, save)(path, index=False)
            taken = door.take(path, "features")
            assert isinstance(taken, dict), taken
            loaded = taken[asset.strip()]
            assert loaded.columns.tolist() == [name.strip()]
            assert loaded.index.tolist() == expected.index.tolist()
            assert loaded.iloc[:, 0].to_numpy().tobytes() == expected.to_numpy().tobytes()


def test_a_file_of_prices_with_one_asset_too_short_leaves_the_database_alone(door: Door) -> None:
    before = door.dump()
    inputs = read_bars(find_sources([door.put("bars.csv", GOOD.encode())]), InputReading())

    with pytest.raises(KallosError, match="needs 34 bars"):
        ingest_prices(inputs.frames, door.url)

    assert door.dump() == before
