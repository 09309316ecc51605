import pandas as pd
import pytest

from kallos.errors import DataError, UsageError
from kallos.features.frequency import Frequency, find_frequency, shifted_rows
from tests.calendars import KINDS, exchange, forex, with_gaps

DAYS = pd.date_range("2024-01-01", periods=40, freq="D")
HOURS = pd.date_range("2024-01-01", periods=100, freq="h")
WEEKDAYS = pd.bdate_range("2024-01-01", periods=40)
FRIDAYS = pd.date_range("2020-01-03", "2023-12-29", freq="W-FRI")


@pytest.mark.parametrize(
    ("index", "frequency"),
    [
        (DAYS, "D"),
        (HOURS, "h"),
        (WEEKDAYS, "sessions:D"),
        (WEEKDAYS.delete([3, 17]), "sessions:D"),
        (pd.date_range("2024-01-01", periods=9, freq="15min"), "15min"),
        (pd.date_range("2024-01-31", periods=9, freq="ME"), "ME"),
        (pd.RangeIndex(10), "rows"),
        (pd.Index([3, 5, 900]), "rows"),
    ],
)
def test_the_frequency_of_rows_is_found_out(index, frequency):
    assert str(find_frequency(index)) == frequency


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_distance_of_rows_is_found_out_whether_some_are_missing_or_not(kind):
    assert find_frequency(kind.index) == Frequency(kind.step)
    assert find_frequency(with_gaps(kind.index), "sessions") == Frequency(kind.step, has_gaps=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("written", ["{}", "sessions:{}"])
def test_a_frequency_is_read_as_it_is_written(kind, written):
    text = written.format(kind.step)
    assert str(Frequency.of(text)) == text
    assert Frequency.of(text).default_window == kind.default_window
    index = kind.index if text == kind.step else with_gaps(kind.index)
    assert str(find_frequency(index, text)) == text


@pytest.mark.parametrize(
    ("index", "frequency"),
    [
        (pd.date_range("2024-01-01 09:00", periods=200, freq="bh"), "sessions:h"),
        (exchange("America/New_York", "2024-01-02", "2024-06-28"), "sessions:h"),
        (exchange("Europe/Berlin", "2024-01-02", "2024-06-28", step="15min"), "sessions:15min"),
        # Bars of a day at its close, an hour earlier in summer.
        (exchange("America/New_York", "2024-01-02", "2024-06-28", step="D"), "sessions:D"),
    ],
    ids=["business hours", "hours", "quarters of an hour", "closes"],
)
def test_rows_of_which_none_falls_on_a_weekend_may_be_missing(index, frequency):
    assert str(find_frequency(index)) == frequency


def test_hours_that_are_missing_between_two_weekends_are_none_of_a_trading_calendar():
    with pytest.raises(DataError, match="2 of 100 timestamps are missing"):
        find_frequency(HOURS.delete([20, 21]))


def test_a_market_that_is_open_on_sunday_evenings_must_be_called_sessions():
    week_round = forex("2024-01-02", "2024-03-28")
    with pytest.raises(DataError, match=r"timestamps are missing .*give `frequency` sessions if rows may be missing"):
        find_frequency(week_round)
    assert str(find_frequency(week_round, "sessions")) == "sessions:h"


def test_weekly_bars_of_which_one_is_a_day_off_are_weeks_still():
    thursday = FRIDAYS[30] - pd.Timedelta(days=1)
    bars = FRIDAYS.delete(30).insert(30, thursday)
    assert str(find_frequency(bars)) == "sessions:W-FRI"
    assert list(shifted_rows(bars, find_frequency(bars))) == [thursday]
    # A week without a bar is missing all the same.
    with pytest.raises(DataError, match="timestamps are missing"):
        find_frequency(bars.delete(50))


def test_the_last_trading_days_of_months_are_months():
    # Good Friday of 2018 was the last weekday of March, and is no trading day.
    ends = pd.date_range("2016-01-01", "2020-12-31", freq="BME")
    bars = ends.drop("2018-03-30").insert(26, pd.Timestamp("2018-03-29"))
    assert str(find_frequency(bars)) == "sessions:BME"


@pytest.mark.parametrize(("index", "gone"), [(DAYS, "2024-01-11"), (HOURS, "2024-01-01 10:00:00")])
def test_a_row_missing_from_a_regular_clock_is_named(index, gone):
    with pytest.raises(DataError, match=f"1 of {len(index)} timestamps are missing .{gone}.*`frequency` sessions"):
        find_frequency(index.delete(10))


def test_sessions_may_skip_days_when_said_so():
    assert str(find_frequency(DAYS.delete([4, 5, 20]), "sessions")) == "sessions:D"


@pytest.mark.parametrize(
    ("index", "given", "rule"),
    [
        (DAYS, "fortnight", "both as in 'sessions:h', not 'fortnight'"),
        (DAYS, "sessions:fortnight", "not 'fortnight'"),
        (DAYS, "seasons:D", "not 'seasons:D'"),
        (DAYS, "-1D", "must go forward in time"),
        (DAYS, "rows", "needs an integer index"),
        (pd.RangeIndex(5), "D", "needs timestamps"),
        (pd.RangeIndex(5), "sessions", "needs timestamps"),
        (WEEKDAYS, "B", "skip nights or weekends, as 'B' does; give 'sessions:D'"),
        (WEEKDAYS, "C", "skip nights or weekends, as 'C' does; give 'sessions:D'"),
        (HOURS, "bh", "skip nights or weekends, as 'bh' does; give 'sessions:h'"),
        (HOURS, "sessions:D", "must not be closer together, and most are h apart; give 'sessions:h'"),
    ],
)
def test_a_frequency_that_cannot_be_is_wrong_use(index, given, rule):
    with pytest.raises(UsageError, match=rule):
        find_frequency(index, given)


def test_rows_off_their_given_frequency_are_named():
    with pytest.raises(DataError, match="12:30:00"):
        find_frequency(HOURS.insert(13, pd.Timestamp("2024-01-01 12:30")), "h")


@pytest.mark.parametrize(
    ("frequency", "step"),
    [("D", "quarter"), ("sessions:D", "quarter"), ("sessions:h", "month"), ("15min", "month"), ("W-SUN", "year"),
     ("rows", 100)],
)  # fmt: skip
def test_each_frequency_has_a_validation_window_that_suits_it(frequency, step):
    assert Frequency.of(frequency).default_window == step
