"""Columns of the calendar: which there are depends on their names alone, their values on a row's own timestamp."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallos.errors import DataError, UsageError
from kallos.features.calendar import calendar_columns
from kallos.specs.calendar import calendar_names

ITEMS = ("weekday", "month", "hour", "turn_of_month", "holiday:NYSE", "holiday:XLON")


def days_marked(columns: pd.DataFrame, name: str) -> list[str]:
    return columns.index[columns[name] == 1].strftime("%m-%d").tolist()


@pytest.mark.parametrize(
    ("names", "has_gaps", "expected"),
    [
        # Sessions of New York: the 1st is a holiday, the 4th and 5th a weekend.
        (("holiday:NYSE", "turn_of_month"), True, ["12-31", "01-02", "01-03", "01-06"]),
        # Also for rows of every day. In Zurich, the first exchange of the last, the 31st and the 2nd are holidays.
        (("holiday:NYSE", "turn_of_month"), False, ["12-31", "01-02", "01-03", "01-06"]),
        (("turn_of_month", "holiday:XSWX", "holiday:NYSE"), True, ["12-30", "01-03", "01-06", "01-07"]),
        # Weekdays; every day.
        (("turn_of_month",), True, ["12-31", "01-01", "01-02", "01-03"]),
        (("turn_of_month",), False, ["12-31", "01-01", "01-02", "01-03"]),
    ],
)
def test_the_turn_of_the_month_is_its_last_trading_day_and_the_first_three_of_the_next(names, has_gaps, expected):
    columns = calendar_columns(pd.date_range("2024-12-20", "2025-01-20"), names, has_gaps=has_gaps)
    assert days_marked(columns, "turn_of_month") == expected


def test_without_an_exchange_trading_days_are_weekdays_if_rows_may_be_missing():
    # The month ends on a Saturday.
    index = pd.date_range("2024-08-20", "2024-09-10")
    gaps, none = (calendar_columns(index, ("turn_of_month",), has_gaps=each) for each in (True, False))
    assert days_marked(gaps, "turn_of_month") == ["08-30", "09-02", "09-03", "09-04"]
    assert days_marked(none, "turn_of_month") == ["08-31", "09-01", "09-02", "09-03"]


def test_days_around_a_holiday_know_it_and_so_does_a_weekend_beside_it():
    # Thanksgiving, a Thursday; Labor Day, a Monday.
    thanksgiving = calendar_columns(pd.date_range("2024-11-25", "2024-12-01"), ("holiday:NYSE",), has_gaps=False)
    assert days_marked(thanksgiving, "holiday_NYSE") == ["11-28"]
    assert days_marked(thanksgiving, "before_holiday_NYSE") == ["11-27"]
    assert days_marked(thanksgiving, "after_holiday_NYSE") == ["11-29"]
    labor_day = calendar_columns(pd.date_range("2024-08-29", "2024-09-05"), ("holiday:NYSE",), has_gaps=False)
    assert days_marked(labor_day, "holiday_NYSE") == ["09-02"]
    assert days_marked(labor_day, "before_holiday_NYSE") == ["08-30", "08-31", "09-01"]
    assert days_marked(labor_day, "after_holiday_NYSE") == ["09-03"]


def test_no_row_before_an_attack_knows_of_it():
    columns = calendar_columns(pd.date_range("2001-09-04", "2001-09-20"), ("holiday:NYSE",), has_gaps=True)
    assert days_marked(columns, "holiday_NYSE") == []
    assert days_marked(columns, "before_holiday_NYSE") == []
    # Labor Day was on the 3rd.
    assert days_marked(columns, "after_holiday_NYSE") == ["09-04"]


moments = st.datetimes(pd.Timestamp("2000-01-01").to_pydatetime(), pd.Timestamp("2060-12-31").to_pydatetime())
items = st.lists(st.sampled_from(ITEMS), unique=True, max_size=4).map(tuple)


def index_of(some: list) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(sorted(some)).as_unit("ns")


@given(st.lists(moments, unique=True, max_size=30), items, st.booleans(), st.data())
def test_a_row_has_the_same_values_with_any_other_rows_beside_it(some, names, has_gaps, data):
    index = index_of(some)
    columns = calendar_columns(index, names, has_gaps=has_gaps)
    assert tuple(columns.columns) == calendar_names(names)
    assert columns.index.equals(index)
    assert (columns.dtypes == "float64").all()
    assert columns.isin([0.0, 1.0]).all(axis=None)
    kept = [position for position in range(len(index)) if data.draw(st.booleans())]
    pd.testing.assert_frame_equal(calendar_columns(index[kept], names, has_gaps=has_gaps), columns.iloc[kept])


@given(moments)
def test_one_weekday_one_month_and_one_hour_are_those_of_the_timestamp(moment):
    (row,) = calendar_columns(index_of([moment]), ("weekday", "month", "hour"), has_gaps=False).to_dict("records")
    weekday = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[moment.weekday()]
    marked = {f"weekday_{weekday}", f"month_{moment.month}", f"hour_{moment.hour}"}
    assert {name for name, value in row.items() if value} == marked


def test_integers_have_no_calendar():
    with pytest.raises(UsageError, match=r"^'calendar' needs timestamps, but the rows are indexed by integers; "):
        calendar_columns(pd.RangeIndex(5), ("weekday",), has_gaps=False)


def test_rows_before_the_first_known_holiday_are_refused_with_the_date_to_begin_at():
    rule = "the holidays of ENX are known from 2019-01-01 on, and the first row is of 2018-12-31"
    remedy = "set `start_date` to 2019-01-01 or later, or remove 'holiday:ENX'"
    with pytest.raises(DataError, match=f"^{rule}; {remedy}$"):
        calendar_columns(pd.date_range("2018-12-31", periods=9), ("holiday:ENX",), has_gaps=False)


def test_the_turn_of_a_month_is_that_of_the_studys_market():
    index = pd.date_range("2024-12-27", "2025-01-07")
    columns = calendar_columns(index, ("turn_of_month",), has_gaps=True, market="NYSE")
    # New Year's Day is no session.
    assert days_marked(columns, "turn_of_month") == ["12-31", "01-02", "01-03", "01-06"]
