"""Which days are sessions of an exchange, as far as that is known ahead."""

from itertools import pairwise

import arch.data.sp500
import pandas as pd
import pytest

from kallos.errors import UsageError
from kallos.features.market import Market


def days(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts)


def test_over_twenty_years_of_new_york_only_closures_that_nobody_knew_ahead_are_missed():
    sessions = pd.DatetimeIndex(arch.data.sp500.load().index)
    assert (len(sessions), str(sessions[0].date()), str(sessions[-1].date())) == (5031, "1999-01-04", "2018-12-31")
    market = Market.of("NYSE")
    missed = {
        f"{found:%Y-%m-%d}": f"{following:%Y-%m-%d}"
        for last, following in pairwise(sessions)
        if (found := market.next_sessions(last, 1)[0]) != following
    }
    # The attacks of 2001, mourning for Reagan and Ford, hurricane Sandy, mourning for Bush.
    assert missed == {
        "2001-09-11": "2001-09-17",
        "2004-06-11": "2004-06-14",
        "2007-01-02": "2007-01-03",
        "2012-10-29": "2012-10-31",
        "2018-12-05": "2018-12-06",
    }
    assert market.is_session(sessions).all()


@pytest.mark.parametrize(
    ("exchange", "day", "is_session"),
    [
        # Mourning for Carter; Good Friday; Juneteenth has been a holiday since 2022.
        ("NYSE", "2025-01-09", True),
        ("NYSE", "2024-03-29", False),
        ("NYSE", "2021-06-18", True),
        ("NYSE", "2022-06-20", False),
        # A funeral; the bank holiday in May.
        ("XLON", "2022-09-19", True),
        ("XLON", "2024-05-06", False),
        # A typhoon; the day after Mid-Autumn.
        ("XHKG", "2023-09-01", True),
        ("XHKG", "2024-09-18", False),
        # A day off for which a Sunday is worked; the Sunday has no session.
        ("XSHG", "2024-10-07", False),
        ("XSHG", "2024-09-29", False),
        # The weekend is Friday and Saturday.
        ("XSAU", "2024-02-02", False),
        ("XSAU", "2024-02-04", True),
        ("NYSE", "2024-02-02", True),
        ("NYSE", "2024-02-04", False),
    ],
)  # fmt: skip
def test_a_session_is_a_weekday_that_is_no_scheduled_holiday(exchange, day, is_session):
    found = Market.of(exchange).is_session(days(day, f"{day} 23:59"))
    assert found.tolist() == [is_session] * 2


def test_the_next_sessions_of_any_time_of_day_are_days_behind_it():
    # Friday; Monday, 2024-05-27, is Memorial Day. So it is from that day itself, and from the weekend.
    for moment in ("2024-05-24", "2024-05-24 20:00", "2024-05-25 12:00", "2024-05-27 23:00"):
        assert Market.of("NYSE").next_sessions(pd.Timestamp(moment), 2).equals(days("2024-05-28", "2024-05-29"))


def test_holidays_are_counted_between_days_and_weekends_are_none():
    before = days("2024-12-24 20:00", "2024-12-24", "2024-12-25", "2024-12-27", "2024-12-31 20:00")
    after = days("2024-12-26", "2024-12-25", "2024-12-26", "2024-12-30", "2025-01-02 14:30")
    assert Market.of("NYSE").holidays_between(before, after).tolist() == [1, 0, 0, 0, 1]


def test_an_exchange_has_the_same_sessions_by_each_of_its_names():
    every = pd.date_range("1999-01-01", "2030-12-31")
    assert (Market.of("XNYS").is_session(every) == Market.of("NYSE").is_session(every)).all()


def test_an_unknown_exchange_is_refused_with_the_closest_one():
    with pytest.raises(UsageError, match=r"^market must be an exchange such as NYSE, not 'NYSEE': did you mean 'NYSE'"):
        Market.of("NYSEE")
