"""Which rows come next, and whether one can still fall into a window."""

import numpy as np
import pandas as pd
import pytest

from kallos.datasets import get_walk_forward_splits
from kallos.errors import DataError
from kallos.features.clock import can_follow, next_rows
from kallos.features.frequency import Frequency, find_frequency
from kallos.features.market import Market
from kallos.folds.cut import cut_folds
from kallos.specs.study import FoldSpec
from tests.calendars import KINDS, exchange, forex, with_gaps

ONE = FoldSpec(n_folds=1)
NEW_YORK = Market.of("NYSE")


def on_sessions(first: str, last: str, step: str = "h") -> pd.DatetimeIndex:
    """Return the bars of New York's sessions."""
    bars = exchange("America/New_York", first, last, step=step)
    return bars[NEW_YORK.is_session(bars)]


def moments(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text) for text in texts]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("gaps", [False, True], ids=["no gaps", "gaps"])
def test_the_next_rows_keep_the_distance_and_the_day_of_those_before(kind, gaps):
    index = with_gaps(kind.index) if gaps else kind.index
    frequency = find_frequency(index, "sessions" if gaps else None)
    assert next_rows(index, frequency, 3) == moments(*kind.following)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("gaps", [False, True], ids=["no gaps", "gaps"])
def test_a_default_window_is_complete_with_its_last_row(kind, gaps):
    index = with_gaps(kind.index) if gaps else kind.index
    given = "sessions" if gaps else None
    grid = cut_folds(index, ONE, frequency=given)
    (fold,) = grid.folds
    assert grid.current_fold is None
    assert fold.validation_stop == len(index)
    starts = {"month": "2024-03-01", "quarter": "2024-01-01", "year": "2023-01-01"}
    assert index[fold.validation_start - 1] < pd.Timestamp(starts[kind.default_window]) <= index[fold.validation_start]
    # Without its last row it is not over, and neither is it with one of the next window.
    assert cut_folds(index[:-1], ONE, frequency=given).current_fold is not None
    later = index.append(pd.DatetimeIndex(kind.following[:1]))
    assert cut_folds(later, ONE, frequency=given).current_fold is not None


@pytest.mark.parametrize(
    ("index", "is_complete"),
    [
        # Friday in summer, when the market closes an hour earlier by the clock of the rows, and its last bar but one.
        (exchange("America/New_York", "2024-01-02", "2024-08-30"), True),
        (exchange("America/New_York", "2024-01-02", "2024-08-30")[:-1], False),
        (exchange("America/New_York", "2024-01-02", "2024-08-30", step="15min"), True),
        # Summer time began on Sunday the 26th; winter time on Sunday the 30th: one day of it has been seen.
        (exchange("Europe/Berlin", "2022-06-01", "2023-03-31"), True),
        (exchange("Europe/Berlin", "2022-01-03", "2022-10-31"), True),
        (exchange("Europe/Berlin", "2022-01-03", "2022-10-31")[:-1], False),
        # Thursday: the Friday behind it was a holiday, and no table says so.
        (exchange("America/New_York", "2024-01-02", "2024-03-28"), False),
        # A weekday of half a day: the market may still be open.
        (exchange("America/New_York", "2024-01-02", "2024-08-30").delete([-1, -2, -3]), False),
        # The week ends on Friday, 17:00 in New York: 21:00 in summer, 22:00 in winter.
        (forex("2024-01-02", "2024-08-30"), True),
        (forex("2024-01-02", "2024-08-30")[:-1], False),
        (forex("2024-01-02", "2024-08-29"), False),
        (forex("2022-01-03", "2023-03-31"), True),
        # Sunday evening was the last one of March.
        (forex("2023-01-02", "2024-03-29"), False),
    ],
)
def test_a_month_of_a_market_is_complete_when_it_has_closed_for_it(index, is_complete):
    frequency = find_frequency(index, "sessions")
    assert can_follow(index, frequency, index[-1].to_period("M").end_time) == (not is_complete)
    assert (cut_folds(index, ONE, frequency="sessions").current_fold is None) == is_complete


def test_folds_of_trading_hours_are_whole_months():
    index = exchange("America/New_York", "2024-01-02", "2024-08-30")
    splits = list(get_walk_forward_splits(pd.DataFrame({"x": 0.0}, index=index), n_folds=2))
    assert [str(rows.index[0]) for _, rows in splits] == ["2024-07-01 13:30:00", "2024-08-01 13:30:00"]
    assert [str(rows.index[-1]) for _, rows in splits] == ["2024-07-31 19:30:00", "2024-08-30 19:30:00"]


def test_too_few_trading_hours_say_how_many_are_needed_at_their_rate():
    index = exchange("America/New_York", "2024-01-02", "2024-02-29")
    # 23 weekdays of 7 bars in a month of 31 days, for eight windows and the first to train on.
    with pytest.raises(
        DataError,
        match=r"needs 9 complete windows.*about 14\d\d rows, and the data has 2 complete windows and 301 rows",
    ):
        cut_folds(index, FoldSpec(n_folds=8), frequency="sessions")


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (exchange("America/New_York", "2024-01-02", "2024-08-29"), ["2024-08-30 13:30", "2024-08-30 14:30"]),
        (exchange("America/New_York", "2024-01-02", "2024-08-30"), ["2024-09-02 13:30", "2024-09-02 14:30"]),
        # The second day of summer time opens as the first one did.
        (exchange("America/New_York", "2024-01-02", "2024-03-11"), ["2024-03-12 13:30", "2024-03-12 14:30"]),
        # A Monday off moves no other one.
        (exchange("America/New_York", "2024-01-02", "2024-05-31").difference(
            exchange("America/New_York", "2024-05-27", "2024-05-27")), ["2024-06-03 13:30", "2024-06-03 14:30"]),
        (exchange("America/New_York", "2024-01-02", "2024-08-30", step="D"), ["2024-09-02 20:00", "2024-09-03 20:00"]),
        (forex("2024-01-02", "2024-08-30"), ["2024-09-01 21:00", "2024-09-01 22:00"]),
        (forex("2024-01-02", "2024-12-27"), ["2024-12-29 22:00", "2024-12-29 23:00"]),
    ],
)  # fmt: skip
def test_the_next_bars_of_a_market_follow_its_opening_hours(index, expected):
    assert next_rows(index, find_frequency(index, "sessions"), 2) == moments(*expected)


def test_the_bar_behind_one_of_a_day_off_is_on_the_usual_day():
    bars = pd.date_range("2020-01-03", "2023-12-22", freq="W-FRI").append(pd.DatetimeIndex(["2023-12-28"]))
    assert next_rows(bars, find_frequency(bars), 2) == moments("2024-01-05", "2024-01-12")
    # Its week has its bar: none comes before the year is over.
    assert cut_folds(bars, ONE).current_fold is None


def test_bars_of_months_that_keep_to_no_day_have_no_next_moment():
    months = pd.date_range("2015-01-01", "2023-12-01", freq="MS")
    days = months + pd.to_timedelta([10 + row % 9 for row in range(len(months))], unit="D")
    assert next_rows(days, find_frequency(days, "sessions"), 2) == []


def test_fortnights_may_be_missing_too():
    fortnights = pd.date_range("2020-01-01", periods=90, freq="14D").delete([30, 41])
    frequency = find_frequency(fortnights, "sessions")
    assert frequency == Frequency("14D", has_gaps=True)
    assert next_rows(fortnights, frequency, 1) == [fortnights[-1] + pd.Timedelta(days=14)]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        # Memorial Day, a Monday; Thanksgiving, a Thursday; two days on which nothing is closed.
        (on_sessions("2024-01-02", "2024-05-24", "D"), ["2024-05-28 20:00", "2024-05-29 20:00"]),
        (on_sessions("2024-01-02", "2024-11-27", "D"), ["2024-11-29 21:00", "2024-12-02 21:00"]),
        (on_sessions("2024-01-02", "2024-08-06", "D"), ["2024-08-07 20:00", "2024-08-08 20:00"]),
        # Two holidays within eight days.
        (on_sessions("2024-01-02", "2024-12-24", "D"), ["2024-12-26 21:00", "2024-12-27 21:00"]),
        (on_sessions("2024-01-02", "2024-12-31", "D"), ["2025-01-02 21:00", "2025-01-03 21:00"]),
        # Its opening hours behind a holiday are those of the usual day, with the session's last bar and in its middle.
        (on_sessions("2024-01-02", "2024-05-24"), ["2024-05-28 13:30", "2024-05-28 14:30"]),
        (on_sessions("2024-01-02", "2024-05-24")[:-1], ["2024-05-24 19:30", "2024-05-28 13:30"]),
        (on_sessions("2024-01-02", "2024-11-27", "15min"), ["2024-11-29 14:30", "2024-11-29 14:45"]),
        # Mondays off say nothing about the next one: five of those before are holidays.
        (on_sessions("2024-01-02", "2024-05-31"), ["2024-06-03 13:30", "2024-06-03 14:30"]),
        # Nobody knows ahead that the exchange stays closed on the next day, in mourning for a president.
        (on_sessions("2024-06-03", "2025-01-08", "D"), ["2025-01-09 21:00", "2025-01-10 21:00"]),
    ],
)
def test_the_next_rows_of_a_market_are_on_its_next_sessions(index, expected):
    assert next_rows(index, find_frequency(index, "sessions"), 2, NEW_YORK) == moments(*expected)


@pytest.mark.parametrize("step", ["D", "h"])
def test_over_three_years_the_next_row_is_right_before_each_holiday(step):
    index = on_sessions("2021-01-04", "2024-12-31", step)
    holidays = NEW_YORK.holidays_between(index[:-1], index[1:])
    behind = np.flatnonzero((holidays > 0) & (index[1:] >= pd.Timestamp("2022-01-01"))) + 1
    # Ten a year, but nine in 2022, whose New Year's Day is a Saturday.
    assert len(behind) == 29
    for position in behind:
        assert next_rows(index[:position], Frequency(step, has_gaps=True), 1, NEW_YORK) == [index[position]]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_market_moves_no_row_that_comes_at_every_step(kind):
    assert next_rows(kind.index, find_frequency(kind.index), 3, NEW_YORK) == moments(*kind.following)


def test_a_market_moves_no_bar_of_a_week():
    # The Friday of Easter is a holiday, and no bar before says what such a week does.
    weeks = pd.date_range("2020-01-03", "2024-03-22", freq="W-FRI").delete(50)
    assert next_rows(weeks, find_frequency(weeks, "sessions"), 1, NEW_YORK) == moments("2024-03-29")
