"""What rows must be that a public function takes: a frame of one asset, its timestamps unique and sorted."""

import pandas as pd

from kallos.errors import DataError, require
from kallos.words import shorten


def require_rows(**given: object) -> None:
    """Raise if an argument is no frame of one asset's rows: some, indexed by unique, sorted timestamps without a zone.

    Timestamps may be integers. Raises `UsageError` for what is no frame, `DataError` for rows that are unfit.
    """
    require(pd.DataFrame, **given)
    for name, frame in given.items():
        _refuse_index(name, frame.index)  # type: ignore[attr-defined]


def require_columns(**given: pd.DataFrame) -> None:
    """Raise `DataError` if a frame's columns have no names of their own."""
    for name, frame in given.items():
        if odd := [column for column in frame.columns if not isinstance(column, str)]:
            raise DataError(f"the columns of {name} must be named by text, and {shorten(odd, 3)} is none: rename them")
        if not frame.columns.is_unique:
            doubled = frame.columns[frame.columns.duplicated()].unique()
            raise DataError(f"the columns of {name} must have names of their own, and two have {shorten(doubled, 3)}")


def _refuse_index(name: str, index: pd.Index) -> None:
    if isinstance(index, pd.MultiIndex):
        raise DataError(f"the rows of {name} must be those of one asset, and have an index of {index.nlevels} levels")
    if not isinstance(index, pd.DatetimeIndex) and index.dtype.kind not in "iu":
        raise DataError(
            f"the rows of {name} must be indexed by timestamps or integers, not by {index.dtype}: make a DatetimeIndex "
            f"of them by pandas.to_datetime"
        )
    if index.empty:
        raise DataError(f"{name} must have rows, and is empty")
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise DataError(
            f"the timestamps of {name} must have no time zone, and are in {index.tz}: {name}.tz_convert(None) makes "
            f"them UTC, {name}.tz_localize(None) keeps them as they are shown"
        )
    if index.hasnans:
        raise DataError(f"every row of {name} must have a timestamp, and {index.isna().sum()} have none: drop them")
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError(
            f"the rows of {name} must be unique and sorted by their index, and are not: sort them by "
            f"{name}.sort_index(), and drop the doubled"
        )
