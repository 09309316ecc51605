"""Timestamps as clocks and markets leave them, with and without gaps."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Kind:
    """A regular clock that ends with a whole validation window, and the three timestamps behind it."""

    step: str
    index: pd.DatetimeIndex
    default_window: str
    season: int
    following: tuple[str, ...]

    def __str__(self) -> str:
        """The distance of its rows."""
        return self.step


KINDS = (
    Kind("15min", pd.date_range("2024-01-01", "2024-03-31 23:45", freq="15min"), "month", 96,
         ("2024-04-01 00:00", "2024-04-01 00:15", "2024-04-01 00:30")),
    Kind("h", pd.date_range("2024-01-01", "2024-03-31 23:00", freq="h"), "month", 24,
         ("2024-04-01 00:00", "2024-04-01 01:00", "2024-04-01 02:00")),
    Kind("D", pd.date_range("2023-01-01", "2024-03-31", freq="D"), "quarter", 7,
         ("2024-04-01", "2024-04-02", "2024-04-03")),
    Kind("W-FRI", pd.date_range("2015-01-02", "2023-12-29", freq="W-FRI"), "year", 52,
         ("2024-01-05", "2024-01-12", "2024-01-19")),
    Kind("ME", pd.date_range("2010-01-31", "2023-12-31", freq="ME"), "year", 12,
         ("2024-01-31", "2024-02-29", "2024-03-31")),
)  # fmt: skip


def with_gaps(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return timestamps without some in the middle: one alone, and three on end."""
    middle = len(index) // 2
    return index.delete([middle - 9, middle, middle + 1, middle + 2])


def exchange(zone: str, first: str, last: str, *, step: str = "h") -> pd.DatetimeIndex:
    """Return the bars of a market that opens at 9:30 of its own zone on weekdays, in UTC: hours to 15:30, or closes."""
    days = pd.bdate_range(first, last)
    times = (
        ["16:00"] if step == "D" else pd.date_range("2000-01-01 9:30", "2000-01-01 15:30", freq=step).strftime("%H:%M")
    )
    local = [day + pd.Timedelta(f"{time}:00") for day in days for time in times]
    return pd.DatetimeIndex(local).tz_localize(zone).tz_convert("UTC").tz_localize(None).as_unit("ns")


def forex(first: str, last: str) -> pd.DatetimeIndex:
    """Return the hours of a market that is open from Sunday to Friday, 17:00 in New York, in UTC."""
    local = pd.date_range(first, f"{last} 23:00", freq="h", tz="America/New_York")
    week = local.dayofweek * 24 + local.hour
    is_open = (week < 4 * 24 + 17) | (week >= 6 * 24 + 17)
    return local[np.asarray(is_open)].tz_convert("UTC").tz_localize(None).as_unit("ns")
