"""The timestamps of the next rows, and whether a row can still fall into a window."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.features.frequency import Frequency, rows_on
from kallos.features.market import Market

Positions = npt.NDArray[np.int64]

_DAY, _WEEK = pd.Timedelta(days=1), pd.Timedelta(days=7)
# The most frequent of so many pauses at the same weekday and hour is the usual one: two of five may be holidays.
_RECENT = 5
# A pause that was as long twice in a row is not a half day or a holiday.
_TWICE = 2


def next_rows(
    index: pd.Index, frequency: Frequency, n_rows: int, market: Market | None = None
) -> list[pd.Timestamp] | list[int]:
    """Return the timestamps of the next rows, or an empty list if they cannot be predicted.

    With gaps, each row follows after the pause that most of the last five rows of the same weekday and place in the day
    had, which tracks opening hours through daylight saving time. A market's scheduled holidays have no rows, and say
    nothing about the usual pause; its daily rows are its next sessions, at the last row's time of day. Weekly, monthly,
    quarterly and yearly rows come once in each unit, on the day on which most rows lie, whatever the market.
    """
    last = index[-1]
    if frequency.step is None:
        steps = set(np.diff(index.to_numpy()).tolist())
        return [last + row * min(steps) for row in range(1, n_rows + 1)] if len(steps) == 1 else []
    if _is_even(frequency):
        return list(pd.date_range(last, periods=n_rows + 1, freq=frequency.step)[1:])
    if frequency.unit is not None:
        return _next_bars(index, frequency, frequency.unit, n_rows)
    if market is not None and frequency.length == _DAY:
        return list(market.next_sessions(last, n_rows) + (last - last.normalize()))
    sessions = _Sessions(index, frequency.length, market)
    return [row.timestamp for row in islice(sessions.rows_behind(_Row.last_of(index)), n_rows)]


def can_follow(index: pd.DatetimeIndex, frequency: Frequency, end: pd.Timestamp) -> bool:
    """Return whether another row may come by `end`.

    With a regular frequency, this depends on the next timestamp. With gaps, it depends on the shorter of the last two
    pauses after rows of the same weekday and place in the day. For weekly rows and longer, it depends on whether a
    weekday that has rows comes after the last row's unit.
    """
    last = index[-1]
    if _is_even(frequency):
        return bool(last + to_offset(frequency.step) <= end)
    if frequency.unit is not None:
        first = (last.to_period(frequency.unit) + to_offset(frequency.step).n).start_time
        return bool(pd.date_range(first, end, freq="D").dayofweek.isin(index.dayofweek.unique()).any())
    row = _Row.last_of(index)
    return bool(row.timestamp + _Sessions(index, frequency.length, None).shortest_pause(row) <= end)


def _is_even(frequency: Frequency) -> bool:
    """Return whether each row follows one step after the previous one, whatever the weekday or day of the month."""
    return not frequency.has_gaps or (frequency.unit is None and frequency.length >= _WEEK)


def _next_bars(index: pd.DatetimeIndex, frequency: Frequency, unit: str, n_rows: int) -> list[pd.Timestamp]:
    """Return a timestamp in each of the next weeks, months, quarters or years, at the last row's time of day."""
    last, offset = index[-1], to_offset(frequency.step)
    if 2 * rows_on(index, offset.freqstr) < len(index):
        return []
    time_of_day = last - last.normalize()
    units = [last.to_period(unit) + row * offset.n for row in range(1, n_rows + 1)]
    return [offset.rollforward(each.start_time) + time_of_day for each in units]


@dataclass(frozen=True)
class _Row:
    """A row, and the first row of its day."""

    timestamp: pd.Timestamp
    opening: pd.Timestamp

    @classmethod
    def last_of(cls, index: pd.DatetimeIndex) -> "_Row":
        return cls(index[-1], index[index.searchsorted(index[-1].normalize())])

    def behind(self, pause: pd.Timedelta) -> "_Row":
        timestamp = self.timestamp + pause
        is_same_day = timestamp.normalize() == self.timestamp.normalize()
        return replace(self, timestamp=timestamp) if is_same_day else _Row(timestamp, timestamp)


@dataclass(frozen=True, eq=False)
class _Sessions:
    """The pauses after the rows of a trading calendar, by weekday and place in the day.

    The place is counted in steps from the day's first row, so it is the same in summer and winter. A pause over a
    holiday of the market is not usual.
    """

    index: pd.DatetimeIndex
    step: pd.Timedelta
    market: Market | None

    def rows_behind(self, row: _Row) -> Iterator[_Row]:
        """Yield the rows behind one, each after its usual pause, without those on holidays of the market."""
        while True:
            row = row.behind(self.usual_pause(row))
            if self.market is None or not self.market.is_holiday(pd.DatetimeIndex([row.timestamp])).any():
                yield row

    @cached_property
    def _pauses(self) -> pd.Series:
        index = self.index[:-1]
        days = index.normalize()
        openings = index[index.searchsorted(days)]
        places = self._places(index, openings)
        pauses = pd.Series(self.index[1:] - index, index=pd.MultiIndex.from_arrays([index.dayofweek, places]))
        return pauses if self.market is None else pauses[self.market.holidays_between(index, self.index[1:]) == 0]

    def _places(self, timestamps: pd.DatetimeIndex, openings: pd.DatetimeIndex) -> Positions:
        places: Positions = np.rint((timestamps - openings) / self.step).astype(np.int64)
        return places

    def _recent(self, row: _Row, times: int) -> pd.Series:
        """Return the last pauses after rows of the same weekday and place, or one step if there are none."""
        (place,) = self._places(pd.DatetimeIndex([row.timestamp]), pd.DatetimeIndex([row.opening]))
        weekdays, places = (self._pauses.index.get_level_values(level) for level in (0, 1))
        found = self._pauses[(weekdays == row.timestamp.dayofweek) & (places == place)]
        return pd.Series([self.step]) if found.empty else found.iloc[-times:]

    def usual_pause(self, row: _Row) -> pd.Timedelta:
        """Return the most frequent recent pause after such a row, and the latest one if several are as frequent."""
        recent = self._recent(row, _RECENT)
        counts = recent.map(recent.value_counts())
        return pd.Timedelta(recent[(counts == counts.max()).to_numpy()].iloc[-1])

    def shortest_pause(self, row: _Row) -> pd.Timedelta:
        """Return how soon the next row may come."""
        return pd.Timedelta(self._recent(row, _TWICE).min())
