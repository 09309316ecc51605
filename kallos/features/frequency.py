"""How far apart the rows of a table are, and whether rows may be missing: detected, or given and checked.

A frequency is `"rows"` (an integer index), a pandas offset such as `"D"` or `"15min"` (regular: no row may be missing),
`"sessions"` (a trading calendar: rows may be missing, and their usual distance is detected), or `"sessions:15min"`,
which gives that distance.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.errors import DataError, UsageError, refuse, require
from kallos.words import shorten

ROWS = "rows"
SESSIONS = "sessions"
# Calendar units of bars, by the codes of pandas' periods.
UNITS = {"W-SUN": "week", "M": "month", "Q-DEC": "quarter", "Y-DEC": "year"}
# A regular frequency is a mistake if fewer than one in so many of its timestamps exist.
_SPARSEST = 100
# Rows that are usually closer together than this share of the given distance have another frequency.
_CLOSEST = 0.8
_DAY, _WEEK = pd.Timedelta(days=1), pd.Timedelta(days=7)
# These skip nights or weekends, which only `sessions` may.
_CALENDARS_OF_DAYS = (pd.offsets.BusinessDay, pd.offsets.BusinessHour)


@dataclass(frozen=True)
class Frequency:
    """How far apart rows usually are, and whether some may be missing between them.

    `step` is a pandas offset, or None for rows with an integer index.
    """

    step: str | None
    has_gaps: bool = False

    @classmethod
    def of(cls, text: str) -> "Frequency":
        """Parse a frequency; raises `UsageError` if it is not one, or gives no distance."""
        require(str, text=text)
        if text == ROWS:
            return cls(None)
        if text == SESSIONS:
            raise UsageError(f"frequency '{SESSIONS}' needs a distance here: write it as in '{SESSIONS}:D'")
        prefix, colon, step = text.rpartition(":")
        if colon and prefix != SESSIONS:
            raise _no_frequency(text)
        return cls(_checked_step(step), has_gaps=bool(colon))

    def __str__(self) -> str:
        """The frequency as users write it."""
        if self.step is None:
            return ROWS
        return f"{SESSIONS}:{self.step}" if self.has_gaps else self.step

    @property
    def has_calendar(self) -> bool:
        """Whether rows have dates."""
        return self.step is not None

    @cached_property
    def length(self) -> pd.Timedelta:
        """Distance between two rows; for months and the like, the mean over a year."""
        first, *_, last = pd.date_range("2001-01-01", periods=13, freq=self.step)
        return pd.Timedelta((last - first) / 12)

    @property
    def unit(self) -> str | None:
        """The week, month, quarter or year (a key of `UNITS`) that has one row each, or None."""
        offset = to_offset(self.step)
        days = self.length / _DAY / getattr(offset, "n", 1)
        if isinstance(offset, pd.offsets.Week):
            return "W-SUN"
        if isinstance(offset, pd.offsets.Tick | pd.offsets.Day):
            return None
        bounds = {"M": (28, 31), "Q-DEC": (90, 92), "Y-DEC": (365, 366)}
        return next((unit for unit, (low, high) in bounds.items() if low <= days <= high), None)

    @property
    def default_window(self) -> str | int:
        """The default window for this frequency: a calendar window, or a number of rows."""
        if self.step is None:
            return 100
        if self.length < _DAY:
            return "month"
        return "quarter" if self.length < _WEEK else "year"


def find_frequency(index: pd.Index, given: str | None = None) -> Frequency:
    """Return the frequency of a unique, sorted index, after checking the one given.

    Rows may be missing if `sessions` is given, if no row falls on a weekend, or if each week, month, quarter or year
    has one row on varying days. Raises `DataError` naming the missing rows of a regular frequency, and `UsageError` for
    a frequency that does not exist or does not suit the index.
    """
    require(pd.Index, index=index)
    require((str, type(None)), given=given)
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError("rows must be unique and sorted by their index; sort them, and drop duplicates")
    if not isinstance(index, pd.DatetimeIndex):
        if given not in (None, ROWS):
            raise UsageError(
                f"frequency {given!r} needs timestamps, but the rows are indexed by integers; leave it out"
            )
        return Frequency(None)
    if given == ROWS:
        raise UsageError("frequency 'rows' needs an integer index, but the rows have timestamps; leave it out")
    if given == SESSIONS:
        return Frequency(usual_step(index), has_gaps=True)
    if given is not None:
        frequency = Frequency.of(given)
        if frequency.has_gaps:
            _refuse_close_rows(index, frequency)
        else:
            refuse(off_clock(index, given))
        return frequency
    if len(index) < 3:
        raise DataError(
            f"detecting the frequency needs at least 3 rows, and there are {len(index)}",
            "give it as `frequency`",
            fault="too-few-timestamps",
            parameter="frequency",
        )
    frequency = Frequency(usual_step(index))
    found = next(off_clock(index, str(frequency)), None)
    if found is None:
        return frequency
    if not _is_trading_calendar(index, frequency):
        raise found
    return Frequency(frequency.step, has_gaps=True)


def usual_step(index: pd.DatetimeIndex) -> str:
    """Return the most frequent distance between rows of a unique, sorted index, as a pandas offset."""
    if len(index) < 2:
        return "D"
    inferred = pd.infer_freq(index) if len(index) > 2 else None
    if inferred and not isinstance(to_offset(inferred), _CALENDARS_OF_DAYS):
        return str(inferred)
    # Nanoseconds cannot hold distances beyond 292 years.
    timestamps = index.as_unit("us")
    distances = pd.Series(timestamps[1:] - timestamps[:-1])
    usual: pd.Timedelta = distances.mode().iloc[0]
    days = usual // _DAY
    for shortest, longest, anchors in _ANCHORS:
        # Rows every 7 days are weekly even if weeks are missing; any other fixed number of days is no calendar unit.
        if shortest <= days <= longest and (days == 7 or (distances % usual).any()):
            return max(anchors, key=lambda anchor: rows_on(index, anchor))
    if not usual % _DAY:
        return "D" if days == 1 else f"{days}D"
    return str(to_offset(usual).freqstr)


def rows_on(index: pd.DatetimeIndex, step: str) -> int:
    """Return how many rows lie on the days of an offset such as `"W-FRI"` or `"ME"`."""
    offset = to_offset(step)
    return sum(offset.is_on_offset(timestamp) for timestamp in index)


def _anchored(prefixes: Iterable[str], anchors: Iterable[str]) -> list[str]:
    return [f"{prefix}-{anchor}" for anchor in anchors for prefix in prefixes]


_MONTHS = ("DEC", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV")
# Least and most days between rows, and the offsets with which they may be aligned.
_ANCHORS: tuple[tuple[int, int, list[str]], ...] = (
    (6, 8, _anchored(["W"], ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))),
    (26, 35, ["ME", "MS", "BME", "BMS"]),
    (85, 97, _anchored(("QE", "QS", "BQE", "BQS"), _MONTHS[:3])),
    (358, 372, _anchored(("YE", "YS", "BYE", "BYS"), _MONTHS)),
)


def _is_trading_calendar(index: pd.DatetimeIndex, frequency: Frequency) -> bool:
    """Return whether rows that are not regular look like a trading calendar."""
    if frequency.length < _WEEK:
        saturday = pd.offsets.Week(weekday=5).rollforward(index[0].normalize())
        # Rows within one week do not show whether weekends are left out.
        return saturday + 2 * _DAY <= index[-1] and not (index.dayofweek >= 5).any()
    return len(shifted_rows(index, frequency)) > 0


def shifted_rows(index: pd.DatetimeIndex, frequency: Frequency) -> pd.DatetimeIndex:
    """Return the rows that are not on the usual day of their week, month, quarter or year, if each has one row.

    A holiday on the usual day moves a bar like that.
    """
    offset = to_offset(frequency.step)
    if frequency.unit is None or offset.n != 1:
        return index[:0]
    units = index.to_period(frequency.unit).asi8
    off_their_day = index[[not offset.is_on_offset(timestamp) for timestamp in index]]
    has_one_each = bool((np.diff(units) == 1).all()) and 2 * len(off_their_day) < len(index)
    return off_their_day if has_one_each else index[:0]


def off_clock(index: pd.DatetimeIndex, step: str) -> Iterator[DataError]:
    """Yield why rows are not regular: missing timestamps, and timestamps between the regular ones."""
    offset = to_offset(step)
    following = index[0] + offset
    if (index[-1] - index[0]) / (following - index[0]) > _SPARSEST * len(index) + 1_000_000:
        # The full list would not fit into memory.
        yield DataError(
            f"rows of frequency {step!r} must have no gaps: there are {len(index)} from {index[0]} to {index[-1]}",
            "correct their timestamps, or give the right `frequency`",
            fault="irregular-timestamps",
            timestamps=index,
        )
        return
    expected = pd.date_range(index[0], index[-1], freq=offset)
    if len(missing := expected.difference(index)):
        yield DataError(
            f"rows of frequency {step!r} must have no gaps: {len(missing)} of {len(expected)} timestamps are missing "
            f"({shorten(missing)})",
            "add them, or give `frequency` sessions if rows may be missing",
            fault="missing-rows",
            timestamps=missing,
        )
    if len(extra := index.difference(expected)):
        yield DataError(
            f"rows must match their frequency {step!r}: {len(extra)} of {len(index)} do not ({shorten(extra)})",
            "correct them, or give the right `frequency`",
            fault="irregular-timestamps",
            timestamps=extra,
        )


def _refuse_close_rows(index: pd.DatetimeIndex, frequency: Frequency) -> None:
    usual = Frequency(usual_step(index))
    if len(index) > 2 and usual.length < _CLOSEST * frequency.length:
        raise UsageError(
            f"rows of frequency {str(frequency)!r} must not be closer together, and most are {usual.step} apart; give "
            f"'{SESSIONS}:{usual.step}', or '{SESSIONS}' to detect the distance"
        )


def _checked_step(step: str) -> str:
    try:
        offset = to_offset(step)
    except ValueError:
        raise _no_frequency(step) from None
    if isinstance(offset, _CALENDARS_OF_DAYS):
        plain = "D" if isinstance(offset, pd.offsets.BusinessDay) else "h"
        raise UsageError(
            f"a regular frequency must not skip nights or weekends, as {step!r} does; give '{SESSIONS}:{plain}'"
        )
    if pd.Timestamp("2001-01-01") + offset <= pd.Timestamp("2001-01-01"):
        raise UsageError(f"frequency must go forward in time, not {step!r}; give 'D' or 'h', for example")
    return step


def _no_frequency(text: str) -> UsageError:
    return UsageError(
        f"frequency must be 'rows', 'sessions', a pandas frequency such as 'D' or 'h', or both as in 'sessions:h', "
        f"not {text!r}"
    )


def rows_per_year(index: pd.Index) -> float:
    """Return how many of such rows there are in a year of 365.25 days; `nan` without dates or with a single row."""
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return math.nan
    years = (index[-1] - index[0]) / pd.Timedelta(days=365.25)
    return float((len(index) - 1) / years)
