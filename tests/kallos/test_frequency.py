import pandas as pd
import pytest

from kallos.errors import DataError, UsageError
from kallos.frequency import default_step, find_frequency

DAYS = pd.date_range("2024-01-01", periods=40, freq="D")
HOURS = pd.date_range("2024-01-01", periods=100, freq="h")
WEEKDAYS = pd.bdate_range("2024-01-01", periods=40)


@pytest.mark.parametrize(
    ("index", "frequency"),
    [
        (DAYS, "D"),
        (HOURS, "h"),
        (WEEKDAYS, "sessions"),
        (WEEKDAYS.delete([3, 17]), "sessions"),
        (pd.date_range("2024-01-01", periods=9, freq="15min"), "15min"),
        (pd.date_range("2024-01-31", periods=9, freq="ME"), "ME"),
        (pd.RangeIndex(10), "rows"),
        (pd.Index([3, 5, 900]), "rows"),
    ],
)
def test_the_frequency_of_rows_is_found_out(index, frequency):
    assert find_frequency(index) == frequency


@pytest.mark.parametrize(("index", "gone"), [(DAYS, "2024-01-11"), (HOURS, "2024-01-01 10:00:00")])
def test_a_row_missing_from_a_regular_clock_is_named(index, gone):
    with pytest.raises(DataError, match=f"1 of {len(index)} timestamps are missing .{gone}.*`frequency` sessions"):
        find_frequency(index.delete(10))


def test_sessions_may_skip_days_when_said_so():
    assert find_frequency(DAYS.delete([4, 5, 20]), "sessions") == "sessions"


@pytest.mark.parametrize(
    ("index", "given", "rule"),
    [
        (DAYS, "fortnight", "not 'fortnight'"),
        (DAYS, "rows", "needs an integer index"),
        (pd.RangeIndex(5), "D", "needs timestamps"),
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
    [("D", "quarter"), ("sessions", "quarter"), ("h", "month"), ("15min", "month"), ("W-SUN", "year"), ("rows", 100)],
)
def test_each_frequency_has_a_validation_step_that_suits_it(frequency, step):
    assert default_step(frequency) == step
