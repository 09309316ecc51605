"""Faults of the timestamps: missing, unreadable, doubled, of several zones, off their frequency."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, first_few, noted
from kallos.checks.frequencies import examine_frequency
from kallos.errors import DataError
from kallos.features.frequency import Frequency
from kallos.features.local_days import clock_of, days_or_moments, offsets_of
from kallos.features.store import (
    choose_dates,
    moments_of,
    no_rows_between,
    refuse_days_elsewhere,
    refuse_doubled,
    unusable_timestamps,
)
from kallos.features.unfinished import ends_after, is_off_clock, not_over_before
from kallos.specs.data import DataSpec
from kallos.words import shorten

_EPOCH, _DAY_AFTER, _MONTH_AFTER, _YEAR_AFTER = (
    pd.Timestamp(day) for day in ("1970-01-01", "1970-01-02", "1970-02-01", "1971-01-01")
)
# Clocks differ, and timestamps without a zone may be of one that is ahead.
_AHEAD = pd.Timedelta(days=1)
# So many usual steps away from all others, a timestamp is no part of them.
_LONELY = 10
# Times of our days, in seconds since 1970 and in its thousandths: from 2001 to 2049.
_SECONDS = (1_000_000_000, 2_500_000_000)
# Dates by their digits, from 1800 to 2100.
_DIGITS = (18_000_101, 21_001_231)


@dataclass
class Stamped:
    """Rows indexed by unique, sorted timestamps, as far as they could be repaired, and what was found on the way.

    `frequency` is None where the rows keep to none.
    """

    frame: pd.DataFrame
    findings: list[Finding] = field(default_factory=list)
    frequency: Frequency | None = None
    left_out: int = 0


def examine_timestamps(rows: pd.DataFrame, spec: DataSpec, now: datetime | None) -> Stamped:
    """Return rows indexed by their timestamps, whatever is wrong with these, and all that is."""
    name = spec.timestamp_column
    if name not in rows.columns:
        return _unstamped(rows, f"timestamps must be in column {name!r}, and there is no such column", spec)
    timestamps, others = rows[name], rows.drop(columns=name)
    index, unreadable, are_local_days = _read(timestamps, spec)
    zones = _local_days(index, spec) if are_local_days else _zones(timestamps[~unreadable & timestamps.notna()], name)
    findings = [*map(Finding.of, unusable_timestamps(timestamps, unreadable, spec)), *zones]
    readable = np.asarray(index.notna())
    if not readable.any():
        stamped = _unstamped(others, None, spec)
        return Stamped(stamped.frame, findings)
    index, others = index[readable], others.loc[readable]
    index = index.as_unit("ns") if isinstance(index, pd.DatetimeIndex) else index.astype(np.int64)
    index.name = name
    if spec.query is None:
        # Nothing asks a query for an order.
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
    stamped = Stamped(frame, findings, left_out=left_out)
    if len(frame):
        found: list[Finding] = []
        stamped.frequency = examine_frequency(frame.index, spec, found)
        try:
            refuse_days_elsewhere(frame.index, spec, stamped.frequency)
        except DataError as error:
            found = [Finding.of(error)]
        findings += found
    return stamped


def _unstamped(rows: pd.DataFrame, message: str | None, spec: DataSpec) -> Stamped:
    frame = rows.set_axis(pd.RangeIndex(len(rows)), axis=0)
    findings = []
    if message:
        findings.append(
            Finding("no-timestamp-column", message, "name it as `timestamp_column`", parameter="timestamp_column")
        )
    return Stamped(frame, findings)


def _read(timestamps: pd.Series, spec: DataSpec) -> tuple[pd.Index, np.ndarray, bool]:
    """Return timestamps as moments without a zone (NaT: none) or integers (NaN: none), and which cannot be read.

    Likewise whether they are days by offsets of their own, whose dates are kept.
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
        f"all timestamps are midnight by their own offsets from UTC, and are taken as days: their dates are kept, from "
        f"{index.min()}",
        "give `days_in` UTC if moments are meant, else write them as dates without an offset",
        column=spec.timestamp_column,
        parameter="days_in",
    )


def _are_whole(known: pd.Series, *, is_partial: bool) -> bool:
    """Return whether the timestamps are integers; with some missing, pandas may hold them as floats."""
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
            f"timestamps must all have a time zone or none, and {n_without} of {len(seconds)} have none",
            "write them all in UTC",
            column=name,
            timestamps=odd,
        )
    else:
        yield Finding(
            "differing-offsets",
            f"timestamps are taken as moments in UTC, and theirs have {len(kinds)} offsets ({shorten(sorted(kinds))}): "
            f"days of a local zone do not begin at midnight there",
            "write them in UTC, or as dates of the local zone without an offset",
            column=name,
            timestamps=odd,
        )


def _as_written(offset: float) -> str:
    """Return an offset from UTC in seconds as timestamps have it, "" for none."""
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
        f"rows are asked for in the order of their timestamps, and {len(back)} come before an earlier one, "
        f"so that the database orders them otherwise: they are sorted here",
        f"store column {name!r} as timestamps or as text of one ISO shape, and see that nothing was computed in this "
        f"order",
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
                    f"rows are of the past, and {len(future)} are stamped after today, {today:%Y-%m-%d}, first "
                    f"{future[0]}: what they hold cannot have been seen",
                    f"give `end_date` {today:%Y-%m-%d}, or correct them",
                    column=str(index.name),
                    timestamps=first_few(future),
                )
            )
    at_epoch = (index >= _EPOCH) & (index < _DAY_AFTER)
    others = index[~at_epoch]
    lonely = bool(at_epoch.any()) and len(others) > 0 and others[0] >= _YEAR_AFTER
    if lonely and len(others) > 1:
        # A series of years or quarters may well begin there.
        lonely = others[0] - index[at_epoch][-1] > _LONELY * pd.Series(others).diff().median()
    if lonely or (index[0] >= _EPOCH and index[-1] < _MONTH_AFTER):
        found = index[at_epoch] if lonely else index
        findings.append(
            Finding(
                "epoch-timestamps",
                f"{len(found)} rows are stamped at the beginning of 1970 ({found[0]}), where a missing time, or one in "
                f"another unit, ends up",
                "correct them; times in seconds or milliseconds are to be written as timestamps",
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
    """Return rows without a last one that is off the clock, after looking whether the last one's time is over."""
    index = frame.index
    if is_off_clock(index):
        findings.append(
            Finding(
                "off-clock-row",
                f"rows are as far apart as their clock says, and the last one, {index[-1]}, comes "
                f"{index[-1] - index[-2]} behind {index[-2]}: it is stamped with the moment at which it was asked for, "
                f"unfinished, and left out",
                f"take it out of the table, or end with `end_date` '{index[-2]}'",
                column=str(index.name),
                timestamps=(str(index[-1]),),
            )
        )
        frame = frame.iloc[:-1]
        index = frame.index
    end = ends_after(index, now, zone)
    # Rows of a later day are named already.
    if end is not None and not any(finding.fault == "future-timestamps" for finding in findings):
        findings.append(unfinished(index, not_over_before(end, zone), column=str(index.name)))
    return frame


def unfinished(index: pd.Index, why: str, *, column: str) -> Finding:
    """Return that the last row is unfinished."""
    return Finding(
        "unfinished-row",
        f"a row must be over before it is read, and the last one, {index[-1]}, {why}: 'predict' does not start from it "
        f"unasked",
        f"bring it again when it is over, or end with `end_date` '{index[-2]}'; if it is over, leave it",
        column=column,
        timestamps=(str(index[-1]),),
    )


def _integer_epochs(index: pd.Index) -> Iterator[Finding]:
    values = index.to_numpy()
    name = str(index.name)
    if (looks_like := _dates_in(values)) is not None:
        yield Finding(
            "integer-epochs",
            f"integers in column {name!r} count rows, and theirs look like {looks_like}, from {values[0]}: "
            f"folds will not follow the calendar, and missing rows are not seen",
            "write them as timestamps, or make them some in a query (query_file)",
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
            f"a row is a step, whatever its integer, and {len(odd)} of {len(index)} do not follow the one before by "
            f"{usual}: rows seem to be missing",
            "add them, if a step is a time",
            column=name,
            timestamps=first_few(odd),
        )


def _dates_in(values: np.ndarray) -> str | None:
    """Return what sorted integers are that hold dates: times since 1970 of our days, or dates by their digits."""
    if len(values) < 2:
        return None
    for factor, unit in ((1, "seconds"), (1_000, "milliseconds"), (1_000_000, "microseconds"), (10**9, "nanoseconds")):
        low, high = (bound * factor for bound in _SECONDS)
        if low <= values[0] and values[-1] <= high and not (values % factor).any():
            return f"{unit} since 1970"
    by_digits = values[0] >= _DIGITS[0] and values[-1] <= _DIGITS[1]
    if by_digits and not pd.to_datetime(pd.Series(values).astype(str), format="%Y%m%d", errors="coerce").isna().any():
        return "dates by their digits (year, month, day)"
    return None
