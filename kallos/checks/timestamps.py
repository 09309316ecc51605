"""Faults of timestamps: missing, unreadable, duplicated, in several zones, off their frequency."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, first_few, noted
from kallos.checks.frequencies import examine_frequency
from kallos.errors import DataError
from kallos.features.frequency import Frequency
from kallos.features.local_days import clock_of, days_or_moments, offsets_of
from kallos.features.rows import (
    choose_dates,
    moments_of,
    no_rows_between,
    refuse_days_elsewhere,
    refuse_doubled,
    unusable_timestamps,
)
from kallos.features.unfinished import ends_after, is_off_clock, not_over_before
from kallos.specs.data import DataSpec
from kallos.words import counted, shorten

_EPOCH, _DAY_AFTER, _MONTH_AFTER, _YEAR_AFTER = (
    pd.Timestamp(day) for day in ("1970-01-01", "1970-01-02", "1970-02-01", "1971-01-01")
)
# Clocks differ, and timestamps without a zone may be in one that is ahead.
_AHEAD = pd.Timedelta(days=1)
# A timestamp this many usual steps away from all others does not belong to them.
_LONELY = 10
# Seconds since 1970 (or their thousandths and so on) from 2001 to 2049.
_SECONDS = (1_000_000_000, 2_500_000_000)
# Dates written as integers, from 1800 to 2100.
_DIGITS = (18_000_101, 21_001_231)


@dataclass(frozen=True)
class Stamped:
    """Rows indexed by unique, sorted timestamps, repaired as far as possible, and the faults found on the way.

    `frequency` is None if the rows have no regular one.
    """

    frame: pd.DataFrame
    findings: list[Finding]
    frequency: Frequency | None = None
    left_out: int = 0


def examine_timestamps(rows: pd.DataFrame, spec: DataSpec, now: datetime | None) -> Stamped:
    """Return rows indexed by timestamp, and everything that is wrong with the timestamps."""
    name = spec.timestamp_column
    if name not in rows.columns:
        missing = Finding(
            "no-timestamp-column",
            f"timestamps must be in column {name!r}, and there is no such column",
            "set `timestamp_column`",
            parameter="timestamp_column",
        )
        return _unstamped(rows, [missing])
    timestamps, others = rows[name], rows.drop(columns=name)
    index, unreadable, are_local_days = _read(timestamps, spec)
    zones = _local_days(index, spec) if are_local_days else _zones(timestamps[~unreadable & timestamps.notna()], name)
    findings = [*map(Finding.of, unusable_timestamps(timestamps, unreadable, spec)), *zones]
    readable = np.asarray(index.notna())
    if not readable.any():
        return _unstamped(others, findings)
    index, others = index[readable], others.loc[readable]
    index = index.as_unit("ns") if isinstance(index, pd.DatetimeIndex) else index.astype(np.int64)
    index.name = name
    if spec.query is None:
        # A query may return its rows in any order.
        findings += _order(index, name)
    frame = others.set_axis(index, axis=0).sort_index(kind="stable")
    chosen = choose_dates(frame, spec)
    if chosen.empty:
        findings.append(Finding.of(no_rows_between(spec, frame.index[0], frame.index[-1])))
    left_out, frame = len(frame) - len(chosen), chosen
    with noted(findings):
        refuse_doubled(frame.index, spec)
    frame = frame[~frame.index.duplicated()]
    frame = _without_odd_dates(frame, now, findings)
    frame = _without_live_row(frame, now, spec.days_in, findings)
    frequency, found = None, list[Finding]()
    if len(frame):
        frequency = examine_frequency(frame.index, spec, found)
        try:
            refuse_days_elsewhere(frame.index, spec, frequency)
        except DataError as error:
            # Days of another zone explain all that is wrong with the frequency.
            found = [Finding.of(error)]
    return Stamped(frame, [*findings, *found], frequency, left_out)


def _unstamped(rows: pd.DataFrame, findings: list[Finding]) -> Stamped:
    return Stamped(rows.set_axis(pd.RangeIndex(len(rows)), axis=0), findings)


def _read(timestamps: pd.Series, spec: DataSpec) -> tuple[pd.Index, np.ndarray, bool]:
    """Return timestamps as moments without a zone (NaT if missing) or integers (NaN if missing).

    Also return which are unreadable, and whether all are days by their own offsets, which keep their dates.
    """
    missing = timestamps.isna().to_numpy(bool)
    known = timestamps[~missing]
    if _are_whole(known, is_partial=bool(missing.any())):
        return pd.Index(pd.to_numeric(timestamps, errors="coerce")), np.zeros(len(timestamps), bool), False
    utc = moments_of(timestamps)
    index = days_or_moments(timestamps, utc, spec.days_in)
    are_local_days = spec.days_in is None and bool((index != utc)[utc.notna()].any())
    return index, np.asarray(utc.isna()) & ~missing, are_local_days


def _local_days(index: pd.DatetimeIndex, spec: DataSpec) -> Iterator[Finding]:
    yield Finding(
        "local-days",
        f"all timestamps are midnight by their own offsets from UTC, so they are taken as days and keep their dates, "
        f"from {index.min()}",
        "set `days_in` UTC if they are moments, or else write them as dates without an offset",
        column=spec.timestamp_column,
        parameter="days_in",
    )


def _are_whole(known: pd.Series, *, is_partial: bool) -> bool:
    """Return whether the timestamps are integers, which pandas may hold as floats if some are missing."""
    if known.empty:
        return False
    if known.dtype.kind in "iu":
        return bool((known.astype(object) < 2**63).all()) if known.dtype.kind == "u" else True
    if known.dtype.kind == "f":
        values = known.to_numpy(np.float64, na_value=np.nan)
        return is_partial and bool(
            (np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)).all()
        )
    return known.dtype == object and all(type(each) is int and abs(each) < 2**63 for each in known)


def _zones(timestamps: pd.Series, name: str) -> Iterator[Finding]:
    if timestamps.dtype.kind in "iufbcmM":
        return
    seconds = pd.Series(offsets_of(timestamps), index=timestamps.index)
    kinds = [_as_written(each) for each in seconds.unique()]
    if len(kinds) < 2:
        return
    rarest = seconds.value_counts(dropna=False).index[-1]
    odd = tuple(str(each) for each in timestamps[seconds.isna() if pd.isna(rarest) else seconds == rarest].iloc[:3])
    if "" in kinds:
        n_without = int(seconds.isna().sum())
        yield Finding(
            "mixed-time-zones",
            f"either all timestamps or none must have a time zone, and {n_without} of {len(seconds)} have none",
            "write all of them in UTC",
            column=name,
            timestamps=odd,
        )
    else:
        yield Finding(
            "differing-offsets",
            f"timestamps are converted to UTC, and these have {len(kinds)} offsets ({shorten(sorted(kinds))}): days of "
            f"a local zone do not begin at midnight UTC",
            "write them in UTC, or as local dates without an offset",
            column=name,
            timestamps=odd,
        )


def _as_written(offset: float) -> str:
    """Return an offset from UTC in seconds as text such as "+0200", "" for none."""
    if np.isnan(offset):
        return ""
    hours, minutes = divmod(round(abs(offset) / 60), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}{minutes:02}"


def _order(index: pd.Index, name: str) -> Iterator[Finding]:
    if index.is_monotonic_increasing:
        return
    back = np.flatnonzero(np.diff(np.asarray(index.asi8 if isinstance(index, pd.DatetimeIndex) else index)) < 0)
    yield Finding(
        "unsorted-rows",
        f"rows are requested in the order of their timestamps, and {len(back)} arrive after a later one: the database "
        "sorts them differently (Kallos has sorted them now)",
        f"store column {name!r} as timestamps or as text in one ISO format, and make sure that nothing was computed in "
        "the wrong order",
        column=name,
        timestamps=first_few(index[back + 1]),
    )


def _without_odd_dates(frame: pd.DataFrame, now: datetime | None, findings: list[Finding]) -> pd.DataFrame:
    index = frame.index
    if index.empty:
        return frame
    if not isinstance(index, pd.DatetimeIndex):
        findings += _integer_epochs(index)
        return frame
    if now is not None:
        today = clock_of(now)
        future = index[index > today + _AHEAD]
        if len(future):
            findings.append(
                Finding(
                    "future-timestamps",
                    f"rows must lie in the past, and {len(future)} have timestamps after today, {today:%Y-%m-%d}, "
                    f"first {future[0]}",
                    f"set `end_date` {today:%Y-%m-%d}, or correct them",
                    column=str(index.name),
                    timestamps=first_few(future),
                )
            )
    at_epoch = (index >= _EPOCH) & (index < _DAY_AFTER)
    others = index[~at_epoch]
    lonely = bool(at_epoch.any()) and len(others) > 0 and others[0] >= _YEAR_AFTER
    if lonely and len(others) > 1:
        # A series of years or quarters may begin there.
        lonely = others[0] - index[at_epoch][-1] > _LONELY * pd.Series(others).diff().median()
    if lonely or (index[0] >= _EPOCH and index[-1] < _MONTH_AFTER):
        found = index[at_epoch] if lonely else index
        findings.append(
            Finding(
                "epoch-timestamps",
                f"{counted(len(found), 'row')} lie at the beginning of 1970 ({found[0]}): missing times, or times in "
                "another unit",
                "correct them; write times in seconds or milliseconds as timestamps",
                column=str(index.name),
                timestamps=first_few(found),
            )
        )
        if lonely and len(others):
            return frame[~at_epoch]
    return frame


def _without_live_row(
    frame: pd.DataFrame, now: datetime | None, zone: str | None, findings: list[Finding]
) -> pd.DataFrame:
    """Return the rows without a last one that is off the clock, and report it or an unfinished last row."""
    index = frame.index
    if is_off_clock(index):
        findings.append(
            Finding(
                "off-clock-row",
                f"rows must follow the clock of the others, and the last one, {index[-1]}, comes only "
                f"{index[-1] - index[-2]} after {index[-2]}: it seems to be an unfinished row with the time of its "
                "request, and is left out",
                f"delete it from the table, or end at `end_date` '{index[-2]}'",
                column=str(index.name),
                timestamps=(str(index[-1]),),
            )
        )
        frame, index = frame.iloc[:-1], index[:-1]
    end = ends_after(index, now, zone)
    # Rows of a later day have been reported.
    if end is not None and not any(finding.fault == "future-timestamps" for finding in findings):
        findings.append(unfinished(index, not_over_before(end, zone), column=str(index.name)))
    return frame


def unfinished(index: pd.Index, why: str, *, column: str) -> Finding:
    """Return the warning that the last row is unfinished."""
    return Finding(
        "unfinished-row",
        f"the period of a row must be over, and the last row, {index[-1]}, {why}: 'predict' does not start from it by "
        "default",
        f"load it again when its period is over, or end at `end_date` '{index[-2]}'; ignore this if it is over",
        column=column,
        timestamps=(str(index[-1]),),
    )


def _integer_epochs(index: pd.Index) -> Iterator[Finding]:
    values = index.to_numpy()
    name = str(index.name)
    if (looks_like := _dates_in(values)) is not None:
        yield Finding(
            "integer-epochs",
            f"integers in column {name!r} number the rows, and these look like {looks_like}, from {values[0]}: folds "
            "will not follow the calendar, and missing rows go unnoticed",
            "write them as timestamps, or convert them in a query (`query_file`)",
            column=name,
            timestamps=first_few(index),
        )
        return
    steps = np.diff(values)
    if len(steps) and (steps != steps[0]).any():
        usual = pd.Series(steps).mode().iloc[0]
        odd = index[1:][steps != usual]
        yield Finding(
            "integer-gaps",
            f"each row counts as one step, and {len(odd)} of {len(index)} do not follow the previous one by {usual}: "
            "rows seem to be missing",
            "add them if a step is a period of time",
            column=name,
            timestamps=first_few(odd),
        )


def _dates_in(values: np.ndarray) -> str | None:
    """Return how sorted integers encode dates, if they do: as time since 1970, or by their digits."""
    if len(values) < 2:
        return None
    for factor, unit in ((1, "seconds"), (1_000, "milliseconds"), (1_000_000, "microseconds"), (10**9, "nanoseconds")):
        low, high = (bound * factor for bound in _SECONDS)
        if low <= values[0] and values[-1] <= high and not (values % factor).any():
            return f"{unit} since 1970"
    by_digits = values[0] >= _DIGITS[0] and values[-1] <= _DIGITS[1]
    if by_digits and not pd.to_datetime(pd.Series(values).astype(str), format="%Y%m%d", errors="coerce").isna().any():
        return "dates (year, month, day)"
    return None
