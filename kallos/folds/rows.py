"""Checks of the frames that public functions take."""

import pandas as pd

from kallos.errors import DataError, require
from kallos.words import shorten


def require_rows(**given: object) -> None:
    """Require non-empty frames of one asset with unique, sorted timestamps (without a zone) or integers.

    Raises `UsageError` for what is not a frame, and `DataError` for unfit rows.
    """
    require(pd.DataFrame, **given)
    for name, frame in given.items():
        _refuse_index(name, frame.index)  # type: ignore[attr-defined]


def require_columns(**given: pd.DataFrame) -> None:
    """Raise `DataError` if a frame's column names are not text or not unique."""
    for name, frame in given.items():
        if odd := [column for column in frame.columns if not isinstance(column, str)]:
            raise DataError(f"column names of {name} must be text, not {shorten(odd, 3)}; rename them")
        if not frame.columns.is_unique:
            doubled = frame.columns[frame.columns.duplicated()].unique()
            raise DataError(f"column names of {name} must be unique: {shorten(doubled, 3)} occurs more than once")


def _refuse_index(name: str, index: pd.Index) -> None:
    if isinstance(index, pd.MultiIndex):
        raise DataError(f"{name} must have rows of one asset, and has an index of {index.nlevels} levels")
    if not isinstance(index, pd.DatetimeIndex) and index.dtype.kind not in "iu":
        raise DataError(
            f"{name} must be indexed by timestamps or integers, not by {index.dtype}; make a DatetimeIndex with "
            f"pandas.to_datetime"
        )
    if index.empty:
        raise DataError(f"{name} must have rows, and is empty")
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise DataError(
            f"the timestamps of {name} must have no time zone, and are in {index.tz}; convert them to UTC with "
            f"{name}.tz_convert(None), or keep local times with {name}.tz_localize(None)"
        )
    if index.hasnans:
        raise DataError(f"every row of {name} must have a timestamp, and {index.isna().sum()} have none; drop them")
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError(
            f"the rows of {name} must be unique and sorted by their index; sort them with {name}.sort_index(), and "
            f"drop duplicates"
        )
