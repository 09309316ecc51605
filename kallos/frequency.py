"""How far apart the rows of a table are: found out, or given and checked.

A frequency is `"rows"` (an integer index), `"sessions"` (a trading calendar: days may be missing), or a
pandas offset such as `"D"` or `"h"` (a regular clock: no row may be missing).
"""

import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.errors import DataError, UsageError, shorten

ROWS = "rows"
SESSIONS = "sessions"


def find_frequency(index: pd.Index, given: str | None = None) -> str:
    """Return the frequency of an index, after checking that it is unique and sorted, and keeps to the frequency.

    Days of which none falls on a weekend are sessions. Raises `DataError` naming the missing rows of a
    regular frequency, and `UsageError` for a frequency that does not exist or does not suit the index.
    """
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError("rows must be unique and sorted by their index, and are not: sort them, and drop the doubled")
    if not isinstance(index, pd.DatetimeIndex):
        if given not in (None, ROWS):
            raise UsageError(
                f"frequency {given!r} needs timestamps, but the rows are indexed by integers: leave it out"
            )
        return ROWS
    if given == ROWS:
        raise UsageError("frequency 'rows' needs an integer index, but the rows have timestamps: leave it out")
    if given == SESSIONS:
        return SESSIONS
    if given is None and len(index) < 3:
        raise DataError(
            f"a frequency can be found from 3 rows or more, and there are {len(index)}: give it as --frequency"
        )
    if given is None and _looks_like_sessions(index):
        return SESSIONS
    frequency = given or _commonest(index)
    _refuse_missing_rows(index, frequency)
    return frequency


def has_calendar(frequency: str) -> bool:
    """Return whether rows of this frequency have dates."""
    return frequency != ROWS


def default_step(frequency: str) -> str | int:
    """Return the validation step that suits a frequency: a calendar step, or a number of rows."""
    if frequency == ROWS:
        return 100
    if frequency == SESSIONS:
        return "quarter"
    *_, before, after = pd.date_range("2001-01-01", periods=3, freq=frequency)
    length = after - before
    if length < pd.Timedelta(days=1):
        return "month"
    return "quarter" if length < pd.Timedelta(days=7) else "year"


def _looks_like_sessions(index: pd.DatetimeIndex) -> bool:
    daily = bool((index == index.normalize()).all())
    # Fewer than six rows may lie between two weekends by chance.
    return daily and len(index) >= 6 and not (index.dayofweek >= 5).any() and _commonest(index) in ("D", "B")


def _commonest(index: pd.DatetimeIndex) -> str:
    inferred: str | None = pd.infer_freq(index)
    if inferred:
        return inferred
    step: pd.Timedelta = pd.Series(index[1:] - index[:-1]).mode().iloc[0]
    days, rest = divmod(step, pd.Timedelta(days=1))
    if not rest:
        return "D" if days == 1 else f"{days}D"
    offset: str = to_offset(step).freqstr
    return offset


def _refuse_missing_rows(index: pd.DatetimeIndex, frequency: str) -> None:
    try:
        offset = to_offset(frequency)
        following = index[0] + offset
    except ValueError:
        raise UsageError(
            f"frequency must be 'sessions', 'rows' or a pandas frequency such as 'D' or 'h', not {frequency!r}"
        ) from None
    if following <= index[0]:
        raise UsageError(f"frequency must go forward in time, not {frequency!r}: give 'D', 'h' or the like")
    expected = pd.date_range(index[0], index[-1], freq=offset)
    missing = expected.difference(index)
    if len(missing):
        raise DataError(
            f"rows of frequency {frequency!r} must be without a gap: {len(missing)} of {len(expected)} timestamps "
            f"are missing ({shorten(missing)}); add them, or give --frequency sessions if days may be missing"
        )
    extra = index.difference(expected)
    if len(extra):
        raise DataError(
            f"rows must lie on their frequency {frequency!r}: {len(extra)} of {len(index)} do not "
            f"({shorten(extra)}); correct them, or give the right --frequency"
        )
