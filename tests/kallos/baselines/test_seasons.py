"""Which row lies whole seasons before another, by the clock."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallos.baselines.seasonal import Season
from kallos.features.frequency import Frequency, find_frequency
from tests.calendars import KINDS, exchange, with_gaps

DAY, WEEK = pd.Timedelta(days=1), pd.Timedelta(days=7)


@pytest.mark.parametrize(
    ("frequency", "period"),
    [
        ("sessions:D", WEEK),
        ("D", WEEK),
        ("h", DAY),
        ("sessions:h", DAY),
        ("4h", DAY),
        ("15min", DAY),
        ("W-SUN", 52 * WEEK),
        ("sessions:W-FRI", 52 * WEEK),
        ("ME", pd.DateOffset(months=12)),
        ("BME", pd.DateOffset(months=12)),
        ("QS", pd.DateOffset(months=12)),
    ],
)
def test_the_season_follows_the_distance_of_rows(frequency, period):
    assert Season.of(Frequency.of(frequency)).period == period


@pytest.mark.parametrize("frequency", ["YE", "rows"])
def test_years_and_numbered_rows_have_no_season(frequency):
    assert Season.of(Frequency.of(frequency)) is None


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_without_a_gap_the_clock_says_what_counting_rows_does(kind, data):
    horizon, lead = data.draw(st.integers(1, 2 * kind.season)), data.draw(st.integers(1, kind.season + 3))
    last_origin = len(kind.index) - horizon - lead
    origins = np.arange(max(last_origin - 40, 0), last_origin + 1)[:, None]
    ahead = lead + np.arange(horizon)
    counted = origins + ahead - kind.season * -(-ahead // kind.season)
    found = Season.of(Frequency(kind.step)).rows_before(kind.index, origins + ahead, origins)
    assert np.array_equal(found, np.where(counted >= 0, counted, -1))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_two_seasons_are_known_with_as_many_rows_as_they_have(kind):
    season = Season.of(Frequency(kind.step))
    assert season.is_known_twice(kind.index, 2 * kind.season - 1)
    assert not season.is_known_twice(kind.index, 2 * kind.season - 2)


def walked_back(index: pd.DatetimeIndex, row: int, origin: int, period: pd.Timedelta) -> int:
    """Return what going back by the period, timestamp by timestamp, finds in seven that are known."""
    place = {timestamp: position for position, timestamp in enumerate(index)}
    moment, tries = index[row] - period, 0
    while moment >= index[0] and tries < 7:
        if place.get(moment, len(index)) <= origin:
            return place[moment]
        tries += moment <= index[origin]
        moment -= period
    return -1


@pytest.mark.parametrize(
    ("index", "period"),
    [
        (with_gaps(pd.date_range("2024-01-01", periods=600, freq="h")), DAY),
        (with_gaps(pd.date_range("2024-01-01", periods=2000, freq="15min")), DAY),
        (with_gaps(pd.date_range("2024-01-01", periods=200, freq="D")), WEEK),
        (pd.bdate_range("2024-01-01", periods=150).delete([30, 31, 77]), WEEK),
        (with_gaps(pd.date_range("2015-01-02", "2023-12-29", freq="W-FRI")), 52 * WEEK),
        # Nights and weekends are missing, and summer time moves the clock.
        (exchange("America/New_York", "2024-01-02", "2024-05-31"), DAY),
    ],
    ids=["hours", "quarters of an hour", "days", "weekdays", "weeks", "trading hours"],
)
@pytest.mark.parametrize("lead", [1, 5])
def test_with_gaps_it_is_the_last_known_row_of_the_same_time(index, period, lead):
    season = Season.of(find_frequency(index, "sessions"))
    rows = np.arange(len(index) // 2, len(index))
    found = season.rows_before(index, rows, rows - lead)
    expected = np.array([walked_back(index, row, row - lead, period) for row in rows])
    # Where no such row is known, the last known one stands in.
    assert found.tolist() == np.where(expected < 0, rows - lead, expected).tolist()
    assert (expected >= 0).mean() > 0.98


def test_a_row_of_months_finds_the_same_month_a_year_before_or_two_where_that_is_missing():
    months = pd.date_range("2018-01-31", "2023-12-31", freq="ME").drop("2021-02-28")
    season = Season.of(find_frequency(months, "sessions"))
    rows = np.array([months.get_loc("2022-02-28"), months.get_loc("2022-03-31"), months.get_loc("2021-01-31")])
    found = months[season.rows_before(months, rows, rows - 1)]
    assert [str(each.date()) for each in found] == ["2020-02-29", "2021-03-31", "2020-01-31"]


def test_a_weekly_bar_of_a_day_off_is_that_of_its_week():
    fridays = pd.date_range("2020-01-03", "2023-12-29", freq="W-FRI")
    bars = fridays.delete(30).insert(30, fridays[30] - DAY)
    season = Season.of(find_frequency(bars))
    rows = np.array([82, 30 + 104])
    assert season.rows_before(bars, rows, rows - 1).tolist() == [30, 82]


def test_a_daily_close_finds_that_of_a_week_before_through_summer_time():
    closes = exchange("America/New_York", "2024-02-01", "2024-04-30", step="D")
    rows = np.arange(10, len(closes))
    found = Season.of(find_frequency(closes)).rows_before(closes, rows, rows - 1)
    assert found.tolist() == (rows - 5).tolist()


def test_the_first_bar_of_summer_time_has_none_of_its_clock_time_and_the_last_known_one_stands_in():
    # Half past nine in New York is 13:30 in UTC from 2024-03-11 on, as it was up to 2023-11-03.
    bars = exchange("America/New_York", "2023-09-01", "2024-03-28", step="30min")
    season = Season.of(find_frequency(bars))
    row = bars.get_loc(pd.Timestamp("2024-03-11 13:30"))
    rows = np.array([row, row + 13, row - 13])
    assert season.rows_before(bars, rows, rows - 1).tolist() == [row - 1, row, row - 26]


def test_a_season_is_looked_for_behind_the_origin_however_far_ahead_the_row_is():
    hours = pd.date_range("2024-01-01", periods=24 * 40, freq="h")
    origin = np.array([24 * 20])
    found = Season.of(Frequency("h", has_gaps=True)).rows_before(hours, origin + 24 * 15, origin)
    assert found.tolist() == origin.tolist()


def test_no_row_behind_the_origin_is_looked_at():
    index = with_gaps(pd.date_range("2024-01-01", periods=300, freq="h"))
    season = Season.of(Frequency("h", has_gaps=True))
    origins = np.arange(60, 250)[:, None]
    assert (season.rows_before(index, origins + 1 + np.arange(40), origins) <= origins).all()
