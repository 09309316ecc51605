"""How far apart the rows of a table are: found out, or given and checked.

A frequency is `"rows"` (an integer index), `"sessions"` (a trading calendar: days may be missing), or a
pandas offset such as `"D"` or `"h"` (a regular clock: no row may be missing).
"""

import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.errors import DataError, UsageError, shorten

ROWS = "rows"
SESSIONS = "sessions"
# A regular frequency of which less than one stamp in so many is there is a mistake.
_SPARSEST = 100


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
            f"a frequency can be found from 3 rows or more, and there are {len(index)}: give it as `frequency`"
        )
    if given is None and _looks_like_sessions(index):
        return SESSIONS
    frequency = given or commonest_frequency(index)
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
    return daily and len(index) >= 6 and not (index.dayofweek >= 5).any() and commonest_frequency(index) in ("D", "B")


def commonest_frequency(index: pd.DatetimeIndex) -> str:
    """Return the frequency that most rows of a unique, sorted index of two or more keep to."""
    inferred: str | None = pd.infer_freq(index)
    if inferred:
        return inferred
    step: pd.Timedelta = pd.Series(index[1:] - index[:-1]).mode().iloc[0]
    days, rest = divmod(step, pd.Timedelta(days=1))
    if not rest:
        return "D" if days == 1 else f"{days}D"
    offset: str = to_offset(step).freqstr
    return offset


def compare_with_clock(index: pd.DatetimeIndex, frequency: str) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex, int]:
    """Return the missing stamps of a regular frequency, the rows that do not lie on it, and how many stamps it has.

    Raises `UsageError` for a frequency that is none, and `DataError` if nearly all of its stamps are missing.
    """
    try:
        offset = to_offset(frequency)
        following = index[0] + offset
    except ValueError:
        raise UsageError(
            f"frequency must be 'sessions', 'rows' or a pandas frequency such as 'D' or 'h', not {frequency!r}"
        ) from None
    if following <= index[0]:
        raise UsageError(f"frequency must go forward in time, not {frequency!r}: give 'D', 'h' or the like")
    if (index[-1] - index[0]) / (following - index[0]) > _SPARSEST * len(index) + 1_000_000:
        # To list them all would fill the memory.
        raise DataError(
            f"rows of frequency {frequency!r} must be without a gap: there are {len(index)} from {index[0]} to "
            f"{index[-1]}; correct their timestamps, or give the right `frequency`"
        )
    expected = pd.date_range(index[0], index[-1], freq=offset)
    return expected.difference(index), index.difference(expected), len(expected)


def _refuse_missing_rows(index: pd.DatetimeIndex, frequency: str) -> None:
    missing, extra, n_expected = compare_with_clock(index, frequency)
    if len(missing):
        raise DataError(
            f"rows of frequency {frequency!r} must be without a gap: {len(missing)} of {n_expected} timestamps "
            f"are missing ({shorten(missing)}); add them, or give `frequency` sessions if days may be missing"
        )
    if len(extra):
        raise DataError(
            f"rows must lie on their frequency {frequency!r}: {len(extra)} of {len(index)} do not "
            f"({shorten(extra)}); correct them, or give the right `frequency`"
        )
