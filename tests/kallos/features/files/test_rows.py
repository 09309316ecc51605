"""Rows of files are understood as the user says, and unfit ones are refused or told with their place."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.features import read_features
from kallos.features.files.ingest import parse_mapping
from kallos.features.files.prices import read_bars
from kallos.features.files.rows import InputReading, Inputs
from kallos.features.files.sources import Source, find_sources
from kallos.features.files.timestamps import TimestampReading


def features(content: str, **reading: Any) -> Inputs:
    timestamps = TimestampReading(reading.pop("timezone", None), reading.pop("date_format", None))
    reading = {"asset_id": "BTC", **reading}
    return read_features([Source("own.csv", content=content.encode())], InputReading(timestamps=timestamps, **reading))


def bars(content: str, **reading: Any) -> Inputs:
    return read_bars([Source("bars.csv", content=content.encode())], InputReading(asset_id="BTC", **reading))


def refusal(content: str, kind: type[KallosError] = DataError, **reading: Any) -> str:
    with pytest.raises(kind) as caught:
        features(content, **reading)
    return str(caught.value)


def moments(inputs: Inputs) -> list[str]:
    return [str(timestamp) for timestamp in inputs.frames["BTC"].index]


# Time zones and formats


def test_naive_timestamps_are_local_times_of_the_zone_that_is_named() -> None:
    content = "date,x\n2024-01-15 12:00,1\n2024-07-15 12:00,2\n"

    # Berlin is an hour ahead of UTC in winter, two in summer.
    assert moments(features(content, timezone="Europe/Berlin")) == ["2024-01-15 11:00:00", "2024-07-15 10:00:00"]
    assert moments(features(content)) == ["2024-01-15 12:00:00", "2024-07-15 12:00:00"]


def test_timestamps_with_an_offset_are_converted_whatever_zone_is_named() -> None:
    content = "date,x\n2024-01-15T12:00+05:30,1\n2024-01-15T12:00Z,2\n2024-01-15 12:00:00 -0100,3\n"

    for zone in (None, "Europe/Berlin"):
        assert moments(features(content, timezone=zone)) == [
            "2024-01-15 06:30:00",
            "2024-01-15 12:00:00",
            "2024-01-15 13:00:00",
        ]


def test_timestamps_with_and_without_an_offset_are_not_mixed() -> None:
    line = refusal("date,x\n2024-01-15T12:00Z,1\n2024-01-16T12:00,2\n2024-01-17,3\n", skip_bad_rows=True)

    assert "1 rows with one and 2 without" in line


@pytest.mark.parametrize(
    ("local", "rule"),
    [("2024-10-27 02:30", "clocks went back"), ("2024-03-31 02:30", "clocks went forward")],
)
def test_a_local_time_that_is_none_or_two_is_refused_with_its_line(local: str, rule: str) -> None:
    content = f"date,x\n2024-01-15 12:00,1\n{local},2\n"

    line = refusal(content, timezone="Europe/Berlin")
    kept = features(content, timezone="Europe/Berlin", skip_bad_rows=True)

    assert rule in line
    assert f"own.csv, line 3: asset 'BTC' has '{local}'" in line
    assert moments(kept) == ["2024-01-15 11:00:00"]
    assert moments(features(content)) == sorted(["2024-01-15 12:00:00", f"{local}:00"])


@pytest.mark.parametrize(
    ("written", "date_format"),
    [("15/01/2024", "%d/%m/%Y"), ("240115", "%y%m%d"), ("Jan 15 2024", "%b %d %Y"), ("15.01.24", "%d.%m.%y")],
)
def test_dates_are_read_in_the_format_that_is_given(written: str, date_format: str) -> None:
    content = f"date,x\n{written},1\n"

    assert moments(features(content, date_format=date_format)) == ["2024-01-15 00:00:00"]
    assert f"line 2: asset 'BTC' has '{written}'" in refusal(content)
    for none in ("2024-13-45", "today", "now"):
        assert f"dates in `date_format` {date_format}" in refusal(f"date,x\n{none},1\n", date_format=date_format)


def test_whole_numbers_in_parquet_are_dates_once_a_format_says_so(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    pd.DataFrame({"date": [240115], "x": [1.0]}).to_parquet(path)
    reading = InputReading("BTC", timestamps=TimestampReading(date_format="%y%m%d"))

    assert moments(read_features(find_sources([path]), reading)) == ["2024-01-15 00:00:00"]
    with pytest.raises(DataError, match="holds numbers such as 240115"):
        read_features(find_sources([path]), InputReading("BTC"))


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "/etc/passwd", "../UTC", "Mars"])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="`timezone` must be a zone"):
        TimestampReading(timezone=zone)


def test_a_file_of_numbers_for_dates_that_lacks_the_asset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    pd.DataFrame({"date": [2], "asset": ["BTC"], "x": [1.0]}).to_parquet(path)
    with pytest.raises(DataError):
        read_features(find_sources([path]), InputReading("ETH"))


@pytest.mark.parametrize("date_format", ["", "%Q", "date", "%"])
def test_a_format_that_is_none_is_refused(date_format: str) -> None:
    with pytest.raises(UsageError, match="`date_format` must be"):
        TimestampReading(date_format=date_format)


# Columns


def test_columns_are_taken_by_the_names_given() -> None:
    content = "Day,Coin,open,high,low,Close,Adj_Close,volume\n2024-01-01,BTC,1,2,1,2,1.5,3\n"

    read = bars(content, columns={"close": "adj_close"}, timestamp_column="day", asset_column="COIN")

    assert read.frames["BTC"]["close"].tolist() == [1.5]


def test_features_keep_their_names_but_for_those_that_are_mapped() -> None:
    read = features("date,Rsi 14,y\n2024-01-01,1,2\n", columns={"z": "y"})

    assert read.frames["BTC"].iloc[0].to_dict() == {"Rsi 14": 1, "z": 2}


@pytest.mark.parametrize(
    ("content", "reading", "said"),
    [
        ("date,x\n2024-01-01,1\n", {"columns": {"y": "X2"}}, "column 'X2' of `column` is not in own.csv"),
        ("date,x\n2024-01-01,1\n", {"timestamp_column": "day"}, "column 'day' of `timestamp_column`"),
        ("date,x\n2024-01-01,1\n", {"asset_column": "coin"}, "column 'coin' of `asset_column`"),
        ("date,x\n2024-01-01,1\n", {"columns": {"timestamp": "x"}}, "must not be named 'timestamp'"),
        ("date,x\n2024-01-01,1\n", {"asset_id": None}, "`asset_id`"),
    ],
)
def test_columns_that_cannot_be_taken_are_refused(content: str, reading: dict[str, Any], said: str) -> None:
    assert said in refusal(content, UsageError, **reading)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("date\n2024-01-01\n", "at least one column of numbers"),
        (",date,x\n0,2024-01-01,1\n", "every column must have a name"),
        ("x,y\n1,2\n", "needs a column date or timestamp, and own.csv has neither"),
        ("date,x\n2024-01-01,binance\n", "features must be numbers"),
        ("date,x\n2024-01-01,inf\n", "features must be finite"),
    ],
)
def test_features_that_are_none_are_refused(content: str, said: str) -> None:
    assert said in refusal(content)


@pytest.mark.parametrize("pairs", [["close"], ["=x"], ["close="], ["a=b", "a=c"]])
def test_a_mapping_that_is_none_is_refused(pairs: list[str]) -> None:
    with pytest.raises(UsageError, match="`column` must"):
        parse_mapping(pairs)


def test_a_mapping_is_split_at_its_first_equals_sign() -> None:
    assert parse_mapping(["close=Adj Close", "x=a=b"]) == {"close": "Adj Close", "x": "a=b"}


def test_a_price_column_that_there_is_not_cannot_be_mapped() -> None:
    with pytest.raises(UsageError, match="`column` must name one of open, high, low, close, volume"):
        bars("date,open\n2024-01-01,1\n", columns={"price": "open"})


# Several files


def test_the_files_of_a_folder_name_their_assets(tmp_path: Path) -> None:
    (tmp_path / "BTC-USD.csv").write_text("date,x\n2024-01-01,1\n")
    pd.DataFrame({"date": ["2024-01-02"], "x": [2.0]}).to_csv(tmp_path / "ETH.b.csv.gz", index=False)
    pd.DataFrame({"date": ["2024-01-03"], "x": [3.0], "asset": "SOL"}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "notes.txt").write_text("no table")

    frames = read_features(find_sources([tmp_path]), InputReading()).frames

    assert {name: frame["x"].tolist() for name, frame in frames.items()} == {"BTC-USD": [1], "ETH.b": [2], "SOL": [3]}


def test_a_file_that_is_alone_does_not_name_its_asset(tmp_path: Path) -> None:
    path = tmp_path / "BTC.csv"
    path.write_text("date,x\n2024-01-01,1\n")

    with pytest.raises(UsageError, match="`asset_id`"):
        read_features(find_sources([path]), InputReading())


@pytest.mark.parametrize(("name", "said"), [("none.csv", "there is no"), ("empty", "has none")])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError, match=said):
        find_sources([tmp_path / name])


def two(first: str, second: str, **reading: Any) -> Inputs:
    sources = [Source(name, content=content.encode()) for name, content in (("a.csv", first), ("b.csv", second))]
    return read_features(sources, InputReading(asset_id="BTC", **reading))


def test_files_of_other_columns_are_not_mixed() -> None:
    with pytest.raises(DataError, match=r"compared to a.csv, b.csv lacks x, and has y more"):
        two("date,x\n2024-01-01,1\n", "date,y\n2024-01-02,1\n")


def test_a_timestamp_in_two_files_is_refused_with_both_places() -> None:
    with pytest.raises(DataError, match=r"a.csv, line 2: asset 'BTC' has 2024-01-01 00:00:00 also in line 3 of b.csv"):
        two("date,x\n2024-01-01,1\n", "date,x\n2024-01-02,1\n2024-01-01,2\n")


# Rows that are left out


def test_bad_rows_are_left_out_and_told_with_their_lines() -> None:
    content = """date,open,high,low,close,volume
2024-01-01,1,2,1,2,3
2024-01-02,1,2,1,two,3
2024-01-03,1,2,1
2024-01-04,1,2,1,2,-3
,1,2,1,2,3
2024-01-06,0,2,1,2,3
2024-01-07,1,1,2,2,3
2024-01-08,1,inf,2,2,3
2024-01-09,1,3,2,2,3
"""
    read = bars(content, skip_bad_rows=True)

    assert moments(read) == ["2024-01-01 00:00:00", "2024-01-09 00:00:00"]
    assert {(each.rule, each.n_rows, each.first[0].partition(":")[0]) for each in read.rejected} == {
        ("every row must have as many fields as the header", 1, "line 4"),
        ("every row must have a date", 1, "line 6"),
        ("prices and volume must be numbers", 1, "line 3"),
        ("prices and volume must be finite", 1, "line 9"),
        ("prices must be above zero", 1, "line 7"),
        ("volume must not be negative", 1, "line 5"),
        ("a bar's high must not be below its low", 1, "line 8"),
    }


def test_of_many_bad_rows_the_first_five_are_told() -> None:
    rows = "".join(f"2024-01-{day:02d},{'x' if day > 3 else 1}\n" for day in range(1, 20))

    (rejected,) = features("date,v\n" + rows, skip_bad_rows=True).rejected

    assert rejected.n_rows == 16
    assert [line.partition(":")[0] for line in rejected.first] == [f"line {line}" for line in range(5, 10)]
    assert "asset 'BTC' has v 'x' at 2024-01-04 00:00:00 (and lines 6, 7," in refusal("date,v\n" + rows)


def test_a_row_that_is_there_twice_is_kept_once_and_rows_that_differ_are_all_left_out() -> None:
    content = "date,x\n2024-01-01,1\n2024-01-02,5\n2024-01-01,1\n2024-01-03,6\n2024-01-03,7\n2024-01-03,6\n"

    read = features(content, skip_bad_rows=True)

    assert read.frames["BTC"]["x"].to_dict() == {pd.Timestamp("2024-01-01"): 1, pd.Timestamp("2024-01-02"): 5}
    assert [(each.n_rows, each.first[0].partition(":")[0]) for each in read.rejected] == [(2, "line 5"), (2, "line 4")]


def test_a_file_without_a_single_good_row_is_refused() -> None:
    content = "date,x\n2024-01-01,inf\n"

    assert "none of own.csv is: features must be finite (1)" in refusal(content, skip_bad_rows=True)


def test_an_open_or_close_outside_low_to_high_is_no_fault() -> None:
    assert bars("date,open,high,low,close,volume\n2024-01-01,1,3,2,4,5\n").frames["BTC"]["close"].tolist() == [4]


def test_missing_features_stay_missing() -> None:
    read = features("date,x,y\n2024-01-01,,1\n2024-01-02,NaN,2\n2024-01-03,3,null\n").frames["BTC"]

    assert read["x"].isna().tolist() == [True, True, False]
    assert read["y"].isna().tolist() == [False, False, True]


def test_an_input_that_is_mostly_unfit_is_refused_though_bad_rows_are_to_be_left_out() -> None:
    months_first = pd.date_range("2023-01-01", periods=365).strftime("%m/%d/%Y")
    content = "date,x\n" + "".join(f"{day},1\n" for day in months_first)
    # 12 days of each month can be read as months, too.
    said = refusal(content, date_format="%d/%m/%Y", skip_bad_rows=True)
    assert "at least half of the rows must be valid, and of own.csv 144 of 365 are" in said
