"""The sessions of an exchange: its weekdays without its scheduled holidays, as the package `holidays` knows them.

A closure that nobody could know ahead is no holiday here, although the package lists it: with it, a forecast for
September 10th, 2001 would know that the exchange stays closed on the 11th. The package marks the days that follow no
rule as special. Of these, two kinds are scheduled: another day of a holiday of that year (the exchange adds it to Eid
al-Fitr), and a day off that replaces a working weekend. All others are left out, those that were announced early, such
as a jubilee, too, because the package does not say when a day was announced.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.specs.calendar import check_market

if TYPE_CHECKING:
    from holidays import HolidayBase

Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]

# Special days are compared by their names, which are in the language of the environment unless one is given.
_LANGUAGE = "en_US"


@dataclass(frozen=True)
class Market:
    """An exchange, by its name in the package `holidays`. A row is of the day that its timestamp is on."""

    name: str

    @classmethod
    def of(cls, name: str) -> "Market":
        """Return the exchange of this name; raises `UsageError` if there is none."""
        return cls(check_market(name))

    @property
    def days(self) -> np.busdaycalendar:
        """The weekdays of the exchange, and its scheduled holidays on them."""
        return _known(self.name)[1]

    @property
    def first_day(self) -> pd.Timestamp:
        """The first day whose holidays are known."""
        return pd.Timestamp(_known(self.name)[0])

    def is_session(self, timestamps: pd.DatetimeIndex) -> Flags:
        """Return which timestamps are on a day on which the exchange is open, as far as that is known ahead."""
        flags: Flags = np.is_busday(days_of(timestamps), busdaycal=self.days)
        return flags

    def is_holiday(self, timestamps: pd.DatetimeIndex) -> Flags:
        """Return which timestamps are on a weekday that is a scheduled holiday."""
        return np.isin(days_of(timestamps), self.days.holidays)

    def holidays_between(self, before: pd.DatetimeIndex, after: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
        """Return the number of scheduled holidays after the day of one timestamp and before that of the other."""
        holidays = self.days.holidays
        stop, start = holidays.searchsorted(days_of(after)), holidays.searchsorted(days_of(before), side="right")
        return np.asarray(stop - start, np.int64)

    def next_sessions(self, timestamp: pd.Timestamp, n_sessions: int) -> pd.DatetimeIndex:
        """Return the days of the next sessions after the day of a timestamp."""
        (day,) = days_of(pd.DatetimeIndex([timestamp]))
        return pd.DatetimeIndex(
            np.busday_offset(day, np.arange(1, n_sessions + 1), roll="backward", busdaycal=self.days)
        )


def days_of(timestamps: pd.DatetimeIndex) -> Days:
    """Return the days that timestamps are on."""
    days: Days = timestamps.to_numpy().astype("datetime64[D]")
    return days


@cache
def _known(name: str) -> tuple[date, np.busdaycalendar]:
    """Return the first day that the package knows of an exchange, and its weekdays and scheduled holidays."""
    from holidays import financial_holidays

    exchange = financial_holidays(name, language=_LANGUAGE)
    years = range(exchange.start_year, exchange.end_year + 1)
    listed = financial_holidays(name, years=years, language=_LANGUAGE)
    days = np.busdaycalendar(
        weekmask=[weekday not in exchange.weekend for weekday in range(7)],
        holidays=sorted(_scheduled(listed, _by_rule(exchange, years))),
    )
    return date(exchange.start_year, 1, 1), days


def _by_rule(exchange: "HolidayBase", years: range) -> "HolidayBase":
    """Return the holidays of an exchange without its special days."""
    exchange.has_special_holidays = False
    for year in years:
        # The package fills in a year when it is asked for one of its days.
        exchange.get(date(year, 1, 1))
    return exchange


def _scheduled(listed: "HolidayBase", regular: "HolidayBase") -> set[date]:
    of_year = {(day.year, name) for day in regular for name in regular.get_list(day)}
    label = getattr(listed, "substituted_label", None)
    day_off = listed.tr(label).partition("%s")[0] if label else None

    def is_scheduled(day: date, name: str) -> bool:
        return (day.year, name) in of_year or (day_off is not None and name.startswith(day_off))

    return {day for day in listed if day in regular or any(is_scheduled(day, name) for name in listed.get_list(day))}
