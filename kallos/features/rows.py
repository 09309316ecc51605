"""The rows of an asset as a features database returns them, by unique and sorted timestamps."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kallos.errors import DataError, refuse
from kallos.features.dates import FIRST_MOMENT, LAST_MOMENT, bounds
from kallos.features.frequency import Frequency, find_frequency
from kallos.features.local_days import days_or_moments, zone_of_days
from kallos.features.unfinished import is_off_clock
from kallos.specs.data import DataSpec
from kallos.words import shorten


def tidy(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Return the rows of `FeatureStore.read` between the dates, indexed by unique, sorted timestamps.

    A last row with the time of the request as its timestamp is left out. Raises `DataError` for timestamps that are
    missing, duplicate, unreadable or do not match the frequency.
    """
    chosen = _chosen(rows, spec)
    refuse_doubled(chosen.index, spec)
    return _with_frequency(chosen.iloc[:-1] if is_off_clock(chosen.index) else chosen, spec)


def off_clock_row(rows: pd.DataFrame, spec: DataSpec) -> pd.Timestamp | None:
    """Return the timestamp of the last row that `tidy` leaves out, or None."""
    index = _chosen(rows, spec).index
    return index[-1] if is_off_clock(index) else None


def _chosen(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    frame = indexed(rows, spec)
    chosen = choose_dates(frame, spec)
    if chosen.empty:
        raise no_rows_between(spec, frame.index[0], frame.index[-1])
    return chosen


def by_asset(features: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one asset's features unchanged, or those of several concatenated and indexed by asset and timestamp."""
    if len(features) == 1:
        return next(iter(features.values()))
    return pd.concat(features, names=["asset_id"])


def choose_dates(frame: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Return the rows of a sorted frame between the dates, both inclusive."""
    start, end = bounds(spec, has_dates=isinstance(frame.index, pd.DatetimeIndex))
    return frame.loc[start:end]


def no_rows_between(spec: DataSpec, first: Any, last: Any) -> DataError:
    """Return the error of an asset whose rows, from the first to the last, lie outside of the dates."""
    return DataError(
        f"asset {spec.asset_id!r} has no rows {asked_dates(spec)}: its rows in {spec.source} go from {first} to {last}",
        "change the dates, or leave them out",
        fault="no-rows",
        parameter="start_date" if spec.start_date else "end_date",
    )


def asked_dates(spec: DataSpec) -> str:
    """Return the dates that were asked for, in words."""
    return f"from {spec.start_date or 'the first row'} to {spec.end_date or 'the last row'}"


def indexed(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Return the rows of `FeatureStore.read` by their timestamps, sorted; raises `DataError` for unreadable ones."""
    timestamps = rows[spec.timestamp_column]
    if timestamps.dtype.kind in "iu":
        index = pd.Index(timestamps.astype(np.int64), name=spec.timestamp_column)
    else:
        moments = moments_of(timestamps)
        refuse(unusable_timestamps(timestamps, moments.isna(), spec))
        index = days_or_moments(timestamps, moments, spec.days_in).as_unit("ns").rename(spec.timestamp_column)
    return with_own_types(rows.drop(columns=spec.timestamp_column)).set_index(index).sort_index()


def moments_of(timestamps: pd.Series) -> pd.DatetimeIndex:
    """Return timestamps as moments in UTC without a zone, NaT if unreadable or beyond the reach of nanoseconds."""
    if timestamps.dtype.kind in "fbcm":
        return pd.DatetimeIndex([pd.NaT] * len(timestamps))
    moments = pd.DatetimeIndex(pd.to_datetime(timestamps, utc=True, format="ISO8601", errors="coerce"))
    moments = moments.tz_localize(None)
    return moments.where(~np.asarray((moments < FIRST_MOMENT) | (moments > LAST_MOMENT)))


def unusable_timestamps(timestamps: pd.Series, odd: np.ndarray, spec: DataSpec) -> Iterator[DataError]:
    """Yield an error for missing timestamps, and one for those marked as unreadable in `odd`."""
    missing = timestamps.isna().to_numpy(bool)
    if missing.any():
        yield DataError(
            f"every row must have a timestamp: column {spec.timestamp_column!r} lacks {missing.sum()}",
            "delete those rows, or fill in their timestamps",
            fault="missing-timestamps",
            column=spec.timestamp_column,
        )
    odd = odd & ~missing
    if odd.any():
        yield DataError(
            f"column {spec.timestamp_column!r} must hold timestamps (ISO 8601, 1678 to 2261) or integers: for asset "
            f"{spec.asset_id!r} in {spec.source}, {_odd_values(timestamps, odd)}",
            "correct or delete the others, or name another column as `timestamp_column`",
            fault="unreadable-timestamps",
            column=spec.timestamp_column,
            timestamps=tuple(repr(each)[:40] for each in timestamps[odd].iloc[:3]),
        )


def _odd_values(timestamps: pd.Series, odd: np.ndarray) -> str:
    """Describe the rows with odd timestamps, counted from 1 in the order of reading."""
    return shorten([f"row {at + 1} holds {str(timestamps.iloc[at])[:40]!r}" for at in np.flatnonzero(odd)], 3)


def refuse_doubled(index: pd.Index, spec: DataSpec) -> None:
    """Raise `DataError` if several rows have one timestamp."""
    doubled = index[index.duplicated()].unique()
    if len(doubled):
        raise DataError(
            f"timestamps must be unique: asset {spec.asset_id!r} has {len(doubled)} more than once "
            f"({shorten(doubled)}) in {spec.source}",
            "delete the wrong rows",
            fault="duplicate-timestamps",
            column=spec.timestamp_column,
            timestamps=doubled,
        )


def refuse_days_elsewhere(index: pd.Index, spec: DataSpec, found: Frequency | None) -> None:
    """Raise `DataError` if moments that are irregular in UTC are days of another zone, unless a setting explains them.

    `found` is their frequency, or None if it could not be detected.
    """
    is_said = spec.days_in is not None or (found is not None and spec.frequency is not None)
    keeps_to_clock = found is not None and not found.has_gaps
    if is_said or keeps_to_clock or not isinstance(index, pd.DatetimeIndex):
        return
    zone = zone_of_days(index)
    if zone is not None:
        raise DataError(
            f"timestamps from {index[0]} on are midnight in {zone}, but not in UTC, in which they are read",
            f"give `days_in` {zone} if they are days there, or `frequency` sessions if rows may be missing",
            fault="days-elsewhere",
            column=spec.timestamp_column,
            timestamps=index,
            parameter="days_in",
        )


def with_own_types(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with all-empty columns as columns of missing numbers."""
    empty = [name for name in rows.columns if rows[name].isna().all()]
    return rows.astype(dict.fromkeys(empty, np.float64))


def _with_frequency(frame: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    try:
        frequency = find_frequency(frame.index, spec.frequency)
    except DataError:
        refuse_days_elsewhere(frame.index, spec, None)
        raise
    refuse_days_elsewhere(frame.index, spec, frequency)
    if frequency.has_gaps or not frequency.has_calendar:
        return frame
    return frame.set_index(pd.DatetimeIndex(frame.index, freq=frequency.step))
