"""Timestamps that are midnight in a zone of their own are dates, whatever moment of UTC that is."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kallos.checks import examine
from kallos.errors import DataError, UsageError
from kallos.features.files.features import read_features
from kallos.features.files.rows import InputReading, Inputs
from kallos.features.files.sources import Source, find_sources
from kallos.features.files.timestamps import TimestampReading
from kallos.features.local_days import are_days, local_times, offsets_of, own_local_times, zone_of_days
from kallos.features.rows import tidy
from kallos.specs.data import DataSpec
from tests.samples import make_features, small_spec

# Summer time begins on 2024-03-10 in New York and on 2024-03-31 in Berlin.
DATES = [str(day.date()) for day in pd.bdate_range("2024-03-01", "2024-04-05")]
ZONES = ["America/New_York", "Europe/Berlin", "Europe/London", "Asia/Tokyo", "Asia/Kolkata", "Australia/Sydney"]


def in_zone(zone: str, dates: list[str] = DATES) -> pd.DatetimeIndex:
    """Return dates as yfinance has them: each at midnight, with the zone of its exchange."""
    return pd.DatetimeIndex(dates, name="date").tz_localize(zone)


def read(timestamps: list[str], **reading: Any) -> Inputs:
    content = "date,x\n" + "".join(f"{timestamp},1\n" for timestamp in timestamps)
    return read_features(
        [Source("own.csv", content=content.encode())], InputReading("BTC", timestamps=TimestampReading(**reading))
    )


def index_of(inputs: Inputs) -> list[str]:
    return [str(timestamp) for timestamp in inputs.frames["BTC"].index]


def midnights(dates: list[str]) -> list[str]:
    return [f"{date} 00:00:00" for date in dates]


# Files


@pytest.mark.parametrize("zone", ZONES)
def test_dates_of_a_csv_file_are_kept_if_all_timestamps_are_midnight_by_their_offsets(zone: str) -> None:
    inputs = read([str(timestamp) for timestamp in in_zone(zone)])

    assert index_of(inputs) == midnights(DATES)
    assert len(inputs.notes) == 1
    assert inputs.notes[0].startswith("own.csv: all timestamps are midnight in their own zone, so their dates are kept")
    assert "`days_in` UTC keeps the moments" in inputs.notes[0]


@pytest.mark.parametrize("zone", ZONES)
def test_dates_of_a_parquet_file_are_kept_if_all_timestamps_are_midnight_in_its_zone(tmp_path: Path, zone: str) -> None:
    pd.DataFrame({"x": 1.0}, index=in_zone(zone)).to_parquet(tmp_path / "own.parquet")

    inputs = read_features(find_sources([tmp_path / "own.parquet"]), InputReading("BTC"))

    assert index_of(inputs) == midnights(DATES)
    assert len(inputs.notes) == 1


@pytest.mark.parametrize(
    ("written", "reading"),
    [
        (["2024-07-01T00:00-04", "2024-07-02T00:00-04"], {}),
        (["2024-07-01T00:00:00.000-0400", "2024-07-02T00:00:00.000-0400"], {}),
        (["01/07/2024 00:00 -0400", "02/07/2024 00:00 -0400"], {"date_format": "%d/%m/%Y %H:%M %z"}),
        (["2024-07-01", "2024-07-02"], {"timezone": "America/New_York"}),
        (["2024-07-01T04:00Z", "2024-07-02T04:00Z"], {"days_in": "America/New_York"}),
    ],
)
def test_days_are_known_however_their_zone_is_said(written: list[str], reading: dict[str, str]) -> None:
    inputs = read(written, **reading)

    assert index_of(inputs) == midnights(["2024-07-01", "2024-07-02"])
    assert len(inputs.notes) == 1


def test_days_are_taken_as_moments_if_that_is_asked_for() -> None:
    assert index_of(read(["2024-01-02 00:00:00+01:00", "2024-07-02 00:00:00+02:00"], days_in="UTC")) == [
        "2024-01-01 23:00:00",
        "2024-07-01 22:00:00",
    ]
    assert index_of(read(["2024-01-02"], timezone="Europe/Berlin", days_in="UTC")) == ["2024-01-01 23:00:00"]


@pytest.mark.parametrize(
    "written",
    [
        ["2024-07-01 00:00:00+02:00", "2024-07-01 01:00:00+02:00", "2024-07-01 02:00:00+02:00"],
        ["2024-07-01 00:00:00+02:00", "2024-07-02 12:00:00+02:00", "2024-07-03 00:00:00+02:00"],
    ],
)
def test_timestamps_of_which_some_are_no_midnight_are_moments(written: list[str]) -> None:
    inputs = read(written)

    expected = [str(pd.Timestamp(timestamp).tz_convert("UTC").tz_localize(None)) for timestamp in written]
    assert index_of(inputs) == expected
    assert inputs.notes == ()


def test_midnights_in_utc_are_nothing_to_speak_of() -> None:
    for written, reading in ((["2024-01-02T00:00Z"], {}), (["2024-01-02"], {"timezone": "UTC"}), (["2024-01-02"], {})):
        inputs = read(written, **reading)

        assert index_of(inputs) == ["2024-01-02 00:00:00"]
        assert inputs.notes == ()


def test_a_last_bar_that_is_not_over_yet_makes_days_no_moments() -> None:
    timestamps = [str(timestamp) for timestamp in in_zone("America/New_York")] + ["2024-04-05 15:30:12-04:00"]

    assert index_of(read(timestamps)) == [*midnights(DATES), "2024-04-05 15:30:12"]


def test_a_day_whose_midnight_clocks_skip_begins_all_the_same() -> None:
    # In Beirut 2024-03-31 began at one o'clock.
    dates = [str(day.date()) for day in pd.date_range("2024-03-29", "2024-04-02")]

    assert index_of(read(dates, timezone="Asia/Beirut")) == midnights(dates)
    utc = pd.DatetimeIndex(
        ["2024-03-29 22:00", "2024-03-30 22:00", "2024-03-31 21:00", "2024-04-01 21:00"], name="date"
    )
    assert [str(timestamp) for timestamp in local_times(utc, "Asia/Beirut")] == midnights(dates[1:])


def test_a_zone_in_which_timestamps_are_no_days_is_refused() -> None:
    with pytest.raises(UsageError, match=r"`days_in`.* in Asia/Tokyo 26 of 26 are not, such as 2024-03-01 14"):
        read([str(timestamp) for timestamp in in_zone("America/New_York")], days_in="Asia/Tokyo")
    with pytest.raises(UsageError, match="`days_in` must be a zone"):
        TimestampReading(days_in="New York")


# Rows of a database


def rows_of(timestamps: Any) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": timestamps, "x": 1.0})


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("write", [list, lambda index: [str(timestamp) for timestamp in index], pd.Series])
def test_rows_with_offsets_of_their_own_keep_their_dates(zone: str, write: Any) -> None:
    frame = tidy(rows_of(write(in_zone(zone))), DataSpec(asset_id="BTC"))

    assert [str(timestamp) for timestamp in frame.index] == midnights(DATES)


def test_moments_that_are_days_elsewhere_are_named_with_the_zone_that_mends_it() -> None:
    rows = rows_of(in_zone("America/New_York").tz_convert("UTC"))

    with pytest.raises(DataError, match="give `days_in` America/New_York") as caught:
        tidy(rows, DataSpec(asset_id="BTC"))

    assert "missing ti" not in str(caught.value)
    mended = tidy(rows, DataSpec(asset_id="BTC", days_in="America/New_York", start_date="2024-03-11"))
    assert [str(timestamp) for timestamp in mended.index] == midnights(DATES)[6:]


@pytest.mark.parametrize("zone", ZONES)
def test_the_zone_that_is_found_has_the_dates_of_the_true_one(zone: str) -> None:
    moments = in_zone(zone).tz_convert("UTC").tz_localize(None)

    found = zone_of_days(moments)

    assert found is not None
    assert [str(timestamp) for timestamp in local_times(moments, found)] == midnights(DATES)


def test_no_zone_is_found_for_what_are_no_days() -> None:
    closes = in_zone("America/New_York") + pd.Timedelta(hours=16, minutes=7)
    hours = pd.date_range("2024-03-01", periods=400, freq="h")
    days = pd.date_range("2024-03-01", periods=400)

    for moments in (closes.tz_convert("UTC").tz_localize(None), hours, days, days[:2] + pd.Timedelta(hours=5)):
        assert zone_of_days(moments) is None


@pytest.mark.parametrize("hour", range(24))
def test_weekdays_at_one_time_of_day_are_an_ordinary_table_at_any_hour(hour: int) -> None:
    index = pd.bdate_range("2023-01-02", periods=300) + pd.Timedelta(hours=hour)

    assert zone_of_days(index) is None
    assert len(tidy(rows_of(index), DataSpec(asset_id="BTC"))) == 300
    # Also where rows are missing, and on every day of the week.
    assert zone_of_days(index.delete([17, 100])) is None
    assert zone_of_days(pd.date_range("2023-01-01", periods=300).delete(17) + pd.Timedelta(hours=hour)) is None


@pytest.mark.parametrize("zone", ["America/New_York", "America/Toronto"])
def test_closes_that_summer_time_moves_are_no_days_of_a_zone_where_they_fall_on_saturday(zone: str) -> None:
    closes = (pd.bdate_range("2022-01-03", "2024-12-30") + pd.Timedelta(hours=16)).tz_localize(zone)

    assert len(tidy(rows_of(closes.tz_convert("UTC")), DataSpec(asset_id="BTC"))) == len(closes)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
@pytest.mark.parametrize("freq", ["B", "D"])
def test_days_that_come_back_as_moments_are_told_with_their_zone_by_check_and_by_loading(zone: str, freq: str) -> None:
    days = pd.date_range("2023-01-02", periods=400, freq=freq).drop("2023-05-01")
    rows = make_features().iloc[: len(days)].set_index(days.tz_localize(zone).tz_convert("UTC"))
    rows = rows.rename_axis("timestamp").reset_index()

    with pytest.raises(DataError, match=f"give `days_in` {zone} ") as caught:
        tidy(rows, DataSpec(asset_id="ABC"))
    (finding,) = (each for each in examine(rows, small_spec()).findings if each.severity == "error")
    assert finding.fault == "days-elsewhere"
    assert f"`days_in` {zone} " in finding.remedy
    assert str(caught.value).startswith(finding.message)
    mended = tidy(rows, DataSpec(asset_id="ABC", days_in=zone, frequency="sessions"))
    assert mended.index.equals(days)


def test_offsets_are_read_however_they_are_written() -> None:
    written = {
        "2024-01-02": None,
        "2024-01-02 10:00": None,
        "2024-01-02 10:00Z": 0.0,
        "2024-01-02T10:00:00.5z": 0.0,
        "2024-01-02 10:00:00+05:30": 19800.0,
        "2024-01-02T10:00:00-0330": -12600.0,
        " 2024-01-02T10-04 ": -14400.0,
        "2024-01-02 00:00:00 +0100": 3600.0,
        pd.Timestamp("2024-07-02", tz="Europe/Berlin"): 7200.0,
        pd.Timestamp("2024-07-02"): None,
        7: None,
    }

    found = offsets_of(pd.Series([*written, None], dtype=object))

    assert [None if pd.isna(each) else each for each in found] == [*written.values(), None]


def test_what_is_said_of_a_frame_is_said_by_the_same_rule() -> None:
    index = in_zone("America/New_York")
    utc = index.tz_convert("UTC").tz_localize(None)

    assert are_days(own_local_times(index.to_series(), utc))
    assert not are_days(utc)
