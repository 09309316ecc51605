"""Timestamps that have one reading are read and said; all others are refused until a flag says what they mean."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from kallos.errors import DataError, UsageError
from kallos.features.files.features import read_features
from kallos.features.files.rows import InputReading, Inputs
from kallos.features.files.sources import Source, find_sources
from kallos.features.files.timestamps import TimestampReading

EACH_SECOND = {"epoch-s": 1, "epoch-ms": 10**3, "epoch-us": 10**6, "epoch-ns": 10**9}
DAYS = [datetime(2024, 6, day, 13, 30, tzinfo=UTC) for day in (1, 2, 3)]


def features(content: str, *, skip_bad_rows: bool = False, columns: str | None = None, **timestamps: Any) -> Inputs:
    reading = InputReading(
        "A", timestamp_column=columns, timestamps=TimestampReading(**timestamps), skip_bad_rows=skip_bad_rows
    )
    return read_features([Source("own.csv", content=content.encode())], reading)


def moments(inputs: Inputs) -> list[str]:
    return [str(timestamp) for timestamp in inputs.frames["A"].index]


def rows(timestamps: list[Any], header: str = "date,x") -> str:
    return "\n".join([header, *(f"{timestamp},{at}" for at, timestamp in enumerate(timestamps))]) + "\n"


def refusal(content: str, **given: Any) -> str:
    with pytest.raises(DataError) as caught:
        features(content, **given)
    return str(caught.value)


# Numbers since 1970


@pytest.mark.parametrize("epoch", EACH_SECOND)
@pytest.mark.parametrize("year", [1980, 2024, 2100])
def test_the_unit_of_numbers_since_1970_is_told_by_the_year(epoch: str, year: int) -> None:
    day = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    content = rows([int(day.timestamp()) * EACH_SECOND[epoch]])

    read = features(content)

    assert moments(read) == [f"{year}-02-03 04:05:06"]
    assert read.notes[0].endswith(f"since 1970 (`date_format` {epoch})")
    assert moments(features(content, date_format=epoch)) == moments(read)
    assert features(content, date_format=epoch).notes == ()


def test_numbers_since_1970_are_moments_of_utc_whatever_the_zone() -> None:
    content = rows([int(day.timestamp()) for day in DAYS])

    assert moments(features(content, timezone="Europe/Berlin")) == [f"2024-06-0{day} 13:30:00" for day in (1, 2, 3)]


@pytest.mark.parametrize(
    ("written", "date_format", "read"),
    [
        ("1717248600.25", "epoch-s", "2024-06-01 13:30:00.250000"),
        ("1717248600250.125", "epoch-ms", "2024-06-01 13:30:00.250125"),
        ("1717248600000.0", "epoch-ms", "2024-06-01 13:30:00"),
        ("-1.5", "epoch-s", "1969-12-31 23:59:58.500000"),
        ("0", "epoch-us", "1970-01-01 00:00:00"),
    ],
)
def test_parts_of_a_unit_and_years_before_1970_are_read(written: str, date_format: str, read: str) -> None:
    assert moments(features(rows([written]), date_format=date_format)) == [read]


def test_a_file_of_two_units_is_refused_with_the_line_of_the_other() -> None:
    # A second that is read as a millisecond is a day of January 1970.
    timestamps = [int(day.timestamp()) * 1000 for day in DAYS]
    content = rows([*timestamps[:2], timestamps[2] // 1000])

    line = refusal(content)
    read = features(content, skip_bad_rows=True)

    assert "must hold milliseconds since 1970 in the years 1980 to 2100, like its first rows" in line
    assert f"line 4: asset 'A' has '{timestamps[2] // 1000}'" in line
    assert "ingest others separately" in line
    assert len(read.frames["A"]) == 2


@pytest.mark.parametrize("written", ["17172486000000000000", "1e9", "17172486x", "1717248600000000"])
def test_what_is_no_number_of_that_unit_is_refused(written: str) -> None:
    assert f"in `date_format` epoch-s: own.csv, line 2: asset 'A' has '{written}" in refusal(
        rows([written]), date_format="epoch-s"
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1717248600000, 1717335000000, 1717421400000]),
        pa.array([1717248600000.0, 1717335000000.0, 1717421400000.0]),
        pa.array(["1717248600000", "1717335000000", "1717421400000"]).dictionary_encode(),
    ],
    ids=["whole", "floats", "categories"],
)
def test_numbers_since_1970_in_parquet_are_read_too(tmp_path: Path, column: pa.Array) -> None:
    pd.DataFrame({"date": column.to_pandas(), "x": 1.0}).to_parquet(tmp_path / "own.parquet")

    read = read_features(find_sources([tmp_path / "own.parquet"]), InputReading("A"))

    assert moments(read) == [f"2024-06-0{day} 13:30:00" for day in (1, 2, 3)]


@pytest.mark.parametrize("written", ["45292", "1", "12345", "99999999", "123456789"])
def test_numbers_that_are_no_date_of_any_unit_are_refused_with_the_flag(written: str) -> None:
    line = refusal(rows([written]))

    assert f"must hold dates such as 2024-01-02, not numbers: own.csv, line 2: asset 'A' has '{written}'" in line
    assert (
        "say what the numbers mean with `date_format`: epoch-s, epoch-ms, epoch-us, epoch-ns, or a format like %Y%m%d"
        in line
    )


def test_a_date_format_that_is_none_names_those_of_numbers() -> None:
    with pytest.raises(UsageError, match="or one of epoch-s, epoch-ms, epoch-us, epoch-ns, not 'ms'"):
        TimestampReading(date_format="ms")


# Dates with the year first


@pytest.mark.parametrize(
    ("written", "date_format"),
    [
        ("20240601", "%Y%m%d"),
        ("19270103", "%Y%m%d"),
        ("2024.06.01", "%Y.%m.%d"),
        ("2024/6/1", "%Y/%m/%d"),
        ("2024.06.01 13:30", "%Y.%m.%d %H:%M"),
        ("20240601 133000", "%Y%m%d %H%M%S"),
        ("20240601 13:30:15.250", "%Y%m%d %H:%M:%S.%f"),
        ("202406011330", "%Y%m%d%H%M"),
        ("20240601133015", "%Y%m%d%H%M%S"),
    ],
)
def test_dates_with_the_year_first_have_one_reading(written: str, date_format: str) -> None:
    read = features(rows([written]))

    assert moments(read) == [str(datetime.strptime(written, date_format))]
    assert read.notes == (f"own.csv: column 'date' is read as `date_format` {date_format!r}",)


@pytest.mark.parametrize("written", ["01/06/2024", "1.6.2024", "06-01-2024", "240601"])
def test_dates_with_the_day_or_the_month_first_are_never_guessed(written: str) -> None:
    line = refusal(rows([written]))

    assert "correct it, or give `date_format`" in line or "say what the numbers mean with `date_format`" in line


def test_a_date_in_another_form_than_the_first_is_refused_with_its_line() -> None:
    line = refusal(rows(["20240601", "20240602", "2024-06-03"]))

    assert "dates like its first rows (%Y%m%d): own.csv, line 4: asset 'A' has '2024-06-03'" in line


# A date and its time of day


@pytest.mark.parametrize(
    ("date", "clock", "date_format"),
    [
        ("2024.06.01", "13:30", "%Y.%m.%d %H:%M"),
        ("20240601", "133000", "%Y%m%d %H%M%S"),
        ("20240601", "1330", "%Y%m%d %H%M"),
        ("2024-06-01", "13:30:00", None),
        ("2024-06-01", "133000", None),
    ],
)
def test_a_date_and_its_time_of_day_in_two_columns_are_one_moment(
    date: str, clock: str, date_format: str | None
) -> None:
    content = rows([f"{date},{clock}"], "Date,Time,x")

    read = features(content)

    assert moments(read) == ["2024-06-01 13:30:00"]
    assert read.frames["A"].columns.tolist() == ["x"]
    together = "own.csv: timestamps are the columns 'Date' and 'Time' together"
    assert read.notes == (f"{together}, read as `date_format` {date_format!r}" if date_format else together,)


def test_two_columns_are_named_and_read_by_a_format_of_the_date_alone_or_of_both() -> None:
    content = rows(["01.06.2024,13:30,7"], "day,clock,z,x")

    for date_format in ("%d.%m.%Y", "%d.%m.%Y %H:%M"):
        read = features(content, columns="Day,clock", date_format=date_format)
        assert moments(read) == ["2024-06-01 13:30:00"]
    assert "line 2: asset 'A' has '01.06.2024 13:30'" in refusal(content, columns="day,clock")


def test_times_of_day_that_have_lost_their_first_zeros_are_read() -> None:
    content = rows(["20240601,93000", "20240601,0", "20240601,160000"], "date,time,x")

    assert moments(features(content)) == ["2024-06-01 00:00:00", "2024-06-01 09:30:00", "2024-06-01 16:00:00"]


def test_a_row_that_lacks_the_date_or_the_time_of_day_is_refused() -> None:
    content = rows(["2024-06-01,13:30", "2024-06-02,", ",13:30"], "date,time,x")

    assert "every row must have a date: own.csv, line 3: asset 'A' has none (and line 4)" in refusal(content)


@pytest.mark.parametrize(
    "timestamp",
    ["2024-06-01 13:30,13:30", "2024-06-01,2024-06-01", "1717248600,13:30"],
    ids=["a moment", "days", "epoch"],
)
def test_a_date_and_a_time_that_do_not_complete_each_other_are_refused_with_both_flags(timestamp: str) -> None:
    line = refusal(rows([timestamp], "date,time,x"))

    assert "own.csv has date and time; name one as `timestamp_column`, or a date and its time of day" in line


def test_a_column_whose_name_has_a_comma_is_one_column() -> None:
    read = features('"day, local",x\n2024-06-01,1\n', columns="day, local")

    assert moments(read) == ["2024-06-01 00:00:00"]


def test_more_than_two_columns_are_refused() -> None:
    with pytest.raises(UsageError, match="or a date and its time of day as in date,time, not 'a,b,c'"):
        features(rows(["1,2,3"], "a,b,c,x"), columns="a,b,c")
