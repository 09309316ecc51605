"""The last row of a table that is filled while its time runs."""

import numpy as np
import pandas as pd
import pytest

from kallos.checks import examine
from kallos.features.rows import off_clock_row, tidy
from kallos.features.unfinished import ends_after, finished_rows, is_off_clock, is_thin, why_unfinished
from kallos.specs.data import DataSpec
from tests.samples import make_features, small_spec

DATA = DataSpec(asset_id="ABC")


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename_axis("timestamp").reset_index()


@pytest.mark.parametrize(
    ("freq", "last", "end"),
    [
        ("D", "2024-03-30", "2024-03-31"),
        ("B", "2024-03-29", "2024-03-30"),
        ("h", "2024-03-30 14:00", "2024-03-30 15:00"),
        ("15min", "2024-03-30 14:15", "2024-03-30 14:30"),
        # Weeks by their first day, and by their last one.
        ("W-MON", "2024-03-25", "2024-04-01"),
        ("W-FRI", "2024-03-29", "2024-03-30"),
        ("W-SUN", "2024-03-31", "2024-04-01"),
        ("MS", "2024-02-01", "2024-03-01"),
        ("ME", "2024-02-29", "2024-03-01"),
        ("QS", "2024-01-01", "2024-04-01"),
        ("QE", "2024-03-31", "2024-04-01"),
    ],
)
def test_a_row_is_unfinished_until_its_time_is_over(freq, last, end):
    index = pd.date_range(end=last, periods=40, freq=freq)
    assert ends_after(index, pd.Timestamp(end) - pd.Timedelta(seconds=1)) == pd.Timestamp(end)
    assert ends_after(index, pd.Timestamp(end)) is None
    assert ends_after(index, pd.Timestamp(end, tz="UTC").tz_convert("America/New_York")) is None
    assert ends_after(index, None) is None


def test_rows_without_a_clock_have_no_end():
    moments = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.cumsum(np.random.default_rng(1).exponential(size=60)), "h"
    )
    assert ends_after(pd.DatetimeIndex(moments), moments[-1]) is None
    assert not is_off_clock(pd.DatetimeIndex(moments))
    assert ends_after(pd.RangeIndex(60), pd.Timestamp("2024-01-01")) is None
    assert not is_off_clock(pd.RangeIndex(60))


@pytest.mark.parametrize(
    ("freq", "behind"), [("D", "16h"), ("B", "20h"), ("h", "17min"), ("W-MON", "2D"), ("MS", "11D")]
)
def test_a_last_row_stamped_with_the_moment_is_off_the_clock_and_left_out(freq, behind):
    index = pd.date_range("2019-01-01", periods=400, freq=freq)
    frame = make_features().set_index(index)
    live = pd.concat([frame, frame.iloc[-1:].set_axis([index[-1] + pd.Timedelta(behind)])])
    assert not is_off_clock(index)
    assert is_off_clock(live.index)
    assert off_clock_row(as_read(frame), DATA) is None
    assert off_clock_row(as_read(live), DATA) == live.index[-1]
    pd.testing.assert_frame_equal(tidy(as_read(live), DATA), tidy(as_read(frame), DATA))
    (finding, *others) = examine(as_read(live), small_spec()).findings
    assert (finding.fault, finding.timestamps) == ("off-clock-row", (str(live.index[-1]),))
    assert not others
    # The remedy is one.
    ended = small_spec(data={"end_date": str(index[-1])})
    assert examine(as_read(live), ended).findings == ()


def daily(hour: str, days: list[str]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days) + pd.Timedelta(hour)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2023-03-01", "2025-03-01", freq="MS"),
        pd.date_range("2023-03-31", "2025-02-28", freq="ME"),
        pd.date_range("2023-03-31", "2025-02-28", freq="BME"),
        # The last Friday was Good Friday.
        pd.date_range("2022-01-07", "2024-03-22", freq="W-FRI").append(pd.DatetimeIndex(["2024-03-28"])),
        # Summer time begins: weekly bars of London, and closes of New York.
        pd.date_range("2023-11-06", "2024-04-01", freq="W-MON", tz="Europe/London").tz_convert(None),
        (pd.bdate_range("2023-11-06", "2024-03-11") + pd.Timedelta(hours=16))
        .tz_localize("America/New_York")
        .tz_convert(None),
        # A half day.
        daily("21h", list(pd.bdate_range("2024-01-01", periods=40))).append(pd.DatetimeIndex(["2024-02-26 18:00"])),
    ],
    ids=["MS", "ME", "BME", "W-FRI", "W-MON in London", "closes", "half day"],
)
def test_a_last_row_of_a_short_month_a_holiday_or_summer_time_is_a_step_and_kept(index):
    assert not is_off_clock(index)
    frame = make_features().iloc[: len(index)].set_index(index)
    assert len(tidy(as_read(frame), DataSpec(asset_id="ABC", frequency="sessions"))) == len(index)


@pytest.mark.parametrize(
    ("index", "live"),
    [
        (pd.date_range("2024-01-01", periods=60, freq="D"), "2024-02-29 15:43"),
        (pd.bdate_range("2024-01-01", periods=60), "2024-03-22 15:43:07"),
        (pd.date_range("2023-03-31", "2025-02-28", freq="ME"), "2025-03-11 15:43"),
        (pd.date_range("2023-03-01", "2025-02-01", freq="MS"), "2025-02-11"),
    ],
)
def test_a_live_row_is_off_the_clock_also_behind_a_short_month(index, live):
    assert is_off_clock(index.append(pd.DatetimeIndex([live])))


@pytest.mark.parametrize(("holiday", "bar"), [("W-FRI", "2024-03-29"), ("ME", "2024-02-29"), ("BME", "2024-02-29")])
def test_a_finished_bar_is_finished_though_one_before_was_moved_by_a_holiday(holiday, bar):
    index = pd.date_range("2021-01-01", "2024-05-20", freq=holiday)
    moved = pd.DatetimeIndex([each - pd.Timedelta(days=1) if each == pd.Timestamp(bar) else each for each in index])
    over = moved[-1] + pd.Timedelta(days=1)
    assert ends_after(moved, over) is None
    assert ends_after(moved, over - pd.Timedelta(seconds=1)) == over


def test_days_of_a_zone_are_over_when_they_are_so_there():
    frame = make_features().set_index(pd.date_range(end="2024-05-10", periods=400))
    over = pd.Timestamp("2024-05-10 15:00")
    for now in (over, over.tz_localize("UTC"), over.tz_localize("UTC").tz_convert("Europe/Berlin")):
        assert ends_after(frame.index, now, "Asia/Tokyo") is None
        assert ends_after(frame.index, now) == pd.Timestamp("2024-05-11")
    before = over - pd.Timedelta(seconds=1)
    finished, why = finished_rows(frame, [], before, "Asia/Tokyo")
    assert (len(finished), why) == (399, "is not over before 2024-05-11 00:00:00 (Asia/Tokyo)")
    # It is tomorrow there already.
    early = frame.set_index(frame.index + pd.Timedelta(days=1))
    finished, why = finished_rows(early, [], over, "Asia/Tokyo")
    assert (len(finished), why) == (399, "is not over before 2024-05-12 00:00:00 (Asia/Tokyo)")


def test_the_column_that_is_named_is_the_one_whose_volume_is_thin():
    frame = make_features().assign(turnover=1000.0)
    frame.iloc[-1, frame.columns.get_loc("turnover")] = 1.0
    found = why_unfinished(frame, ["volume", "turnover"], None)
    assert (found.column, found.why) == ("turnover", "has only a part of its volume (turnover is 1)")
    spec = small_spec(features={"volume": ["volume", "turnover"]})
    named = [each.column for each in examine(as_read(frame), spec).findings if each.fault == "unfinished-row"]
    assert named == ["turnover"]


def test_the_row_of_today_is_named():
    rows = as_read(make_features())
    today = rows["timestamp"].iloc[-1] + pd.Timedelta(hours=15)
    (finding,) = examine(rows, small_spec(), now=today).findings
    assert (finding.fault, finding.timestamps) == ("unfinished-row", (str(rows["timestamp"].iloc[-1]),))
    assert "is not over before 2021-02-04 00:00:00 (UTC)" in finding.message
    assert examine(rows, small_spec(), now=today + pd.Timedelta(hours=9)).findings == ()
    (without,) = (finding.remedy.split("`end_date` ")[1].split(";")[0].strip("'"),)
    assert examine(rows, small_spec(data={"end_date": without}), now=today).findings == ()


def test_a_last_volume_of_minutes_is_named_and_that_of_half_a_day_is_not():
    frame = make_features()
    volume = frame.columns.get_loc("volume")
    least = frame["volume"].iloc[-61:-1].min()
    for share, faults in ((0.2, ["unfinished-row"]), (0.4, [])):
        frame.iloc[-1, volume] = share * least
        assert is_thin(frame["volume"]) == bool(faults)
        assert [each.fault for each in examine(as_read(frame), small_spec()).findings] == faults
    # Of a hold-out no value is looked at.
    frame.iloc[-1, volume] = 0.0
    assert examine(as_read(frame), small_spec(folds={"holdout": 1})).findings == ()
