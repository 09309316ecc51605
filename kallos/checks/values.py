"""Faults of the values: missing at the beginning, within or at the end, infinite, constant, negative volumes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import negative_volumes
from kallos.specs.study import TuneSpec
from kallos.words import pasteable

# The commonest value of a near-constant column takes this share of the rows, or its spread is this small.
_COMMONEST = 0.995
_SPREAD = 1e-9
# So many equal values at the end, and so many times the longest run of equal ones before, are no chance.
_FROZEN_ROWS, _FROZEN_TIMES = 20, 3


def examine_values(numbers: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield what is wrong with the values of the columns (float64, as the table stamps them), each by itself."""
    features, horizon = spec.features, spec.features.label_horizon
    empty_rows = numbers.isna().all(axis=1).to_numpy()
    for name in numbers.columns:
        is_target = name in features.targets
        column = numbers[name]
        # A label is used up to its last realised value, covariates from the first row on that has one.
        used = column.iloc[: len(column) - horizon] if is_target else _behind_label(column, spec)
        infinite = used.index[np.isinf(used)]
        if len(infinite):
            yield Finding(
                "infinite-values",
                f"features must be finite: {pasteable(name)} is infinite at {len(infinite)} rows, first {infinite[0]}",
                "correct them (a division by zero?), or name the column in 'exclude'",
                column=name,
                timestamps=first_few(infinite),
            )
        yield from _missing(column if is_target else used, name, spec, ends_with_table=bool(empty_rows[-1:].any()))
        yield from _still(column, name, is_target=is_target)
    yield from map(Finding.of, negative_volumes(numbers.iloc[horizon:], features))


def _behind_label(column: pd.Series, spec: TuneSpec) -> pd.Series:
    """Return a covariate from the first row on that has a label; what is filled is filled from rows before it, too."""
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
            f"columns must hold values, and {pasteable(name)} holds none behind the label's first "
            f"{spec.features.label_horizon}",
            "name it in 'exclude'",
            column=name,
        )
        return
    first, last = known[0], known[-1]
    otherwise = "name another as `target`" if is_target else "name the column in 'exclude'"
    if first:
        yield Finding(
            "leading-missing-values",
            f"features must be finite: {pasteable(name)} at {first} rows, first {index[0]}, is missing before "
            f"{index[first]}",
            f"begin with `start_date` {_date(index[first])}, or {otherwise}",
            column=name,
            timestamps=first_few(index[:first]),
            known_from=index[first],
        )
    inner = index[first : last + 1][gone[first : last + 1]]
    if len(inner) and not is_filled:
        yield Finding(
            "inner-missing-values",
            f"features must be finite: {pasteable(name)} at {len(inner)} rows, first {inner[0]}, is missing",
            "correct them, or give `fill` forward"
            + (" (a target filled is scored against values that never were)" if is_target else f", or {otherwise}"),
            column=name,
            timestamps=first_few(inner),
        )
    elif len(inner) and is_target:
        yield Finding(
            "filled-target",
            f"the target {pasteable(name)} is filled forward at {len(inner)} rows, first {inner[0]}: models are "
            "scored against values that never were",
            "correct them, or leave those rows out by `start_date`",
            column=name,
            timestamps=first_few(inner),
        )
    tail = index[last + 1 :]
    behind_end = otherwise if spec.data.query is None else otherwise + _IF_COMPUTED
    if is_target:
        yield from _unrealised(column, name, tail, spec, ends_with_table=ends_with_table)
    elif len(tail) and is_filled:
        yield Finding(
            "stale-fill",
            f"{pasteable(name)} stops being filled: its last {len(tail)} rows, from {tail[0]}, repeat the value of "
            f"{index[last]}",
            f"end with `end_date` {_date(index[last])}, or {behind_end}",
            column=name,
            timestamps=first_few(tail),
        )
    elif len(tail):
        yield _ended(name, tail, index[last], behind_end)


def _unrealised(
    column: pd.Series, name: str, tail: pd.Index, spec: TuneSpec, *, ends_with_table: bool
) -> Iterator[Finding]:
    """A label that looks ahead is missing in the last rows, and in as many as it looks ahead."""
    horizon = spec.features.label_horizon
    if len(tail) <= horizon:
        return
    last = column.index[len(column) - len(tail) - 1]
    if ends_with_table:
        yield _ended(name, tail, last, "name another as `target`")
        return
    yield Finding(
        "short-label-horizon",
        f"a target must be known label_horizon = {horizon} rows after its timestamp: {pasteable(name)} at {len(tail)} "
        f"rows, first {tail[0]}, is not yet known, so that it looks {len(tail)} rows ahead",
        f"give `label_horizon` {len(tail)}, or end with `end_date` {_date(last)} if it stopped being filled",
        column=name,
        timestamps=first_few(tail),
        parameter="label_horizon",
    )


def _ended(name: str, tail: pd.Index, last: object, otherwise: str) -> Finding:
    return Finding(
        "trailing-missing-values",
        f"features must be finite: {pasteable(name)} at {len(tail)} rows, first {tail[0]}, stops being filled behind "
        f"{last}",
        f"fill it, or end with `end_date` {_date(last)}, or {otherwise}",
        column=name,
        timestamps=first_few(tail),
    )


# Where the remedies above would take a leak in.
_IF_COMPUTED = "; if the query computes it from later rows (LEAD, a window that looks ahead), it is a leak: see 'audit'"


def _date(timestamp: object) -> str:
    return (
        f"'{timestamp}'"
        if " " in str(timestamp).removesuffix(" 00:00:00")
        else str(timestamp).removesuffix(" 00:00:00")
    )


def _still(column: pd.Series, name: str, *, is_target: bool) -> Iterator[Finding]:
    known = column[np.isfinite(column)]
    values = known.to_numpy()
    if len(values) < 2:
        return
    if np.ptp(values) == 0:
        if is_target:
            yield Finding(
                "constant-target",
                f"the target must vary, and {pasteable(name)} is {values[0]:.6g} in all {len(values)} rows",
                "name another as `target`",
                column=name,
            )
        else:
            yield Finding(
                "constant-column",
                f"{pasteable(name)} is {values[0]:.6g} in all {len(values)} rows, and tells a model nothing",
                "name it in 'exclude'",
                column=name,
            )
        return
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    runs = np.diff(np.r_[0, changes])
    last_run = len(values) - changes[-1]
    if last_run >= max(_FROZEN_ROWS, _FROZEN_TIMES * runs.max()):
        yield Finding(
            "frozen-column",
            f"{pasteable(name)} stops being updated: its last {last_run} rows, from {known.index[changes[-1]]}, are "
            f"all {values[-1]:.6g}, and never before were more than {runs.max()} alike",
            f"end with `end_date` {_date(known.index[changes[-1]])}"
            + ("" if is_target else ", or name it in 'exclude'"),
            column=name,
            timestamps=first_few(known.index[changes[-1] :]),
        )
        return
    commonest, counts = np.unique(values, return_counts=True)
    share = counts.max() / len(values)
    remedy = "name another as `target`" if is_target else "name it in 'exclude'"
    if share >= _COMMONEST and len(values) >= 100:
        yield Finding(
            "near-constant-column",
            f"{pasteable(name)} hardly moves: {share:.2%} of its rows are {commonest[counts.argmax()]:.6g}",
            remedy,
            column=name,
            timestamps=first_few(known.index[values != commonest[counts.argmax()]]),
        )
    elif np.ptp(values / np.abs(values).max()) < _SPREAD:
        yield Finding(
            "near-constant-column",
            f"{pasteable(name)} hardly moves: it stays within {_SPREAD:g} of {values[0]:.6g}, which is rounding",
            remedy,
            column=name,
        )
