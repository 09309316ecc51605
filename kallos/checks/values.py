"""Faults of values: missing, infinite, constant or frozen ones, and values without a logarithm."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import negative_values, without_logarithm
from kallos.specs.study import TuneSpec
from kallos.words import counted, day, pasteable

# A column is nearly constant if one value fills this share of its rows, or if its relative spread is this small.
_COMMONEST = 0.995
_SPREAD = 1e-9
# A column is frozen if this many values at its end are equal, and this many times the longest run before.
_FROZEN_ROWS, _FROZEN_TIMES = 20, 3


def examine_values(numbers: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield what is wrong with the values of each column (float64, with the table's timestamps)."""
    features, horizon = spec.features, spec.features.label_horizon
    empty_rows = numbers.isna().all(axis=1).to_numpy()
    for name in numbers.columns:
        is_target = name in features.targets
        column = numbers[name]
        # Labels are used up to the last known one, and covariates from the first row that has a label.
        used = column.iloc[: len(column) - horizon] if is_target else _with_label(column, spec)
        infinite = used.index[np.isinf(used)]
        if len(infinite):
            yield Finding(
                "infinite-values",
                f"features must be finite, and {pasteable(name)} is infinite in {counted(len(infinite), 'row')}, first "
                f"{infinite[0]}",
                "correct them (a division by zero?), or name the column in 'exclude'",
                column=name,
                timestamps=first_few(infinite),
            )
        yield from _missing(column if is_target else used, name, spec, ends_with_table=bool(empty_rows[-1:].any()))
        yield from _still(column, name, is_target=is_target)
    yield from map(Finding.of, negative_values(numbers.iloc[horizon:], features))
    yield from map(Finding.of, without_logarithm(numbers.iloc[: len(numbers) - horizon], features))


def _with_label(column: pd.Series, spec: TuneSpec) -> pd.Series:
    """Return a covariate from the first row that has a label; earlier rows may still fill this row."""
    used = column.iloc[spec.features.label_horizon :]
    if spec.data.fill == "forward" and len(used):
        used = used.copy()
        used.iloc[0] = column.iloc[: spec.features.label_horizon + 1].ffill().iloc[-1]
    return used


def _missing(column: pd.Series, name: str, spec: TuneSpec, *, ends_with_table: bool) -> Iterator[Finding]:
    index, gone = column.index, column.isna().to_numpy()
    if not gone.any():
        return
    is_target, is_filled = name in spec.features.targets, spec.data.fill == "forward"
    known = np.flatnonzero(~gone)
    if not len(known):
        yield Finding(
            "empty-column",
            f"columns must hold values, and {pasteable(name)} holds none after the first "
            f"{spec.features.label_horizon} rows, which have no known label",
            "name it in 'exclude'",
            column=name,
        )
        return
    first, last = known[0], known[-1]
    otherwise = "choose another `target`" if is_target else "name the column in 'exclude'"
    if first:
        yield Finding(
            "leading-missing-values",
            f"features must be finite, and {pasteable(name)} is missing in the first {counted(first, 'row')}, before "
            f"{index[first]}",
            f"start at `start_date` {_date(index[first])}, or {otherwise}",
            column=name,
            timestamps=first_few(index[:first]),
            known_from=index[first],
        )
    inner = index[first : last + 1][gone[first : last + 1]]
    if len(inner) and not is_filled:
        yield Finding(
            "inner-missing-values",
            f"features must be finite, and {pasteable(name)} is missing in {counted(len(inner), 'row')}, first "
            f"{inner[0]}",
            "correct them, or set `fill` forward"
            + (" (which scores models against invented targets)" if is_target else f", or {otherwise}"),
            column=name,
            timestamps=first_few(inner),
        )
    elif len(inner) and is_target:
        yield Finding(
            "filled-target",
            f"the target {pasteable(name)} is filled forward in {counted(len(inner), 'row')}, first {inner[0]}: "
            "models are scored against invented values",
            "correct them, or skip these rows with `start_date`",
            column=name,
            timestamps=first_few(inner),
        )
    tail = index[last + 1 :]
    at_end = otherwise if spec.data.query is None else otherwise + _IF_COMPUTED
    if is_target:
        yield from _unknown_labels(column, name, tail, spec, ends_with_table=ends_with_table)
    elif len(tail) and is_filled:
        yield Finding(
            "stale-fill",
            f"{pasteable(name)} ends early: its last {counted(len(tail), 'row')}, from {tail[0]}, repeat the value of "
            f"{index[last]}",
            f"end at `end_date` {_date(index[last])}, or {at_end}",
            column=name,
            timestamps=first_few(tail),
        )
    elif len(tail):
        yield _ended(name, tail, index[last], at_end)


def _unknown_labels(
    column: pd.Series, name: str, tail: pd.Index, spec: TuneSpec, *, ends_with_table: bool
) -> Iterator[Finding]:
    """A label that looks N rows ahead is missing in the last N rows, and in no more."""
    horizon = spec.features.label_horizon
    if len(tail) <= horizon:
        return
    last = column.index[len(column) - len(tail) - 1]
    if ends_with_table:
        yield _ended(name, tail, last, "choose another `target`")
        return
    yield Finding(
        "short-label-horizon",
        f"a target must be known label_horizon = {horizon} rows after its timestamp, and {pasteable(name)} is unknown "
        f"in the last {counted(len(tail), 'row')}, from {tail[0]}, so it looks {len(tail)} ahead",
        f"set `label_horizon` {len(tail)}, or end at `end_date` {_date(last)} if the target is no longer updated",
        column=name,
        timestamps=first_few(tail),
        parameter="label_horizon",
    )


def _ended(name: str, tail: pd.Index, last: object, otherwise: str) -> Finding:
    return Finding(
        "trailing-missing-values",
        f"features must be finite, and {pasteable(name)} is missing in the last {counted(len(tail), 'row')}, after "
        f"{last}",
        f"fill it, or end at `end_date` {_date(last)}, or {otherwise}",
        column=name,
        timestamps=first_few(tail),
    )


# Otherwise the remedies above would hide a leak.
_IF_COMPUTED = "; if the query computes it from later rows (LEAD, a window that looks ahead), it is a leak: run 'audit'"


def _date(timestamp: object) -> str:
    date = day(timestamp)
    return f"'{date}'" if " " in date else date


def _still(column: pd.Series, name: str, *, is_target: bool) -> Iterator[Finding]:
    known = column[np.isfinite(column)]
    values = known.to_numpy()
    if len(values) < 2:
        return
    remedy = "choose another `target`" if is_target else "name it in 'exclude'"
    if np.ptp(values) == 0:
        constant = f"{pasteable(name)} is {values[0]:.6g} in all {len(values)} rows"
        if is_target:
            yield Finding("constant-target", f"the target must vary, and {constant}", remedy, column=name)
        else:
            yield Finding("constant-column", f"{constant}, which tells a model nothing", remedy, column=name)
        return
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    runs = np.diff(np.r_[0, changes])
    last_run = len(values) - changes[-1]
    if last_run >= max(_FROZEN_ROWS, _FROZEN_TIMES * runs.max()):
        yield Finding(
            "frozen-column",
            f"{pasteable(name)} is no longer updated: its last {last_run} rows, from {known.index[changes[-1]]}, are "
            f"all {values[-1]:.6g}, and at most {runs.max()} were equal before",
            f"end at `end_date` {_date(known.index[changes[-1]])}" + ("" if is_target else ", or name it in 'exclude'"),
            column=name,
            timestamps=first_few(known.index[changes[-1] :]),
        )
        return
    commonest, counts = np.unique(values, return_counts=True)
    share = counts.max() / len(values)
    if share >= _COMMONEST and len(values) >= 100:
        yield Finding(
            "near-constant-column",
            f"{pasteable(name)} hardly varies: {share:.2%} of its rows are {commonest[counts.argmax()]:.6g}",
            remedy,
            column=name,
            timestamps=first_few(known.index[values != commonest[counts.argmax()]]),
        )
    elif np.ptp(values / np.abs(values).max()) < _SPREAD:
        yield Finding(
            "near-constant-column",
            f"{pasteable(name)} hardly varies: it differs from {values[0]:.6g} by less than {_SPREAD:g} of it, which "
            "is rounding",
            remedy,
            column=name,
        )
