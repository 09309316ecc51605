"""Columns that say the same: as each other, as the target, as the target of a later row."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import fitting_columns
from kallos.specs.study import TuneSpec
from kallos.words import pasteable

Array = npt.NDArray[np.float64]

# Rank correlation of changes from row to row from which on two columns are the same but for unit and rounding.
SAME = 0.999
FEWEST = 30
_FARTHEST = 60


def duplicate_columns(numbers: pd.DataFrame, targets: tuple[str, ...]) -> Iterator[Finding]:
    """Yield covariates of the same values as one before them; constant ones are named elsewhere."""
    seen: dict[bytes, str] = {}
    for name in numbers.columns.drop(list(targets), errors="ignore"):
        values = numbers[name].to_numpy()
        if not varies(values):
            continue
        first = seen.setdefault(values.tobytes(), name)
        if first != name:
            yield Finding(
                "duplicate-column",
                f"{pasteable(name)} holds the same values as {pasteable(first)} in all {len(values)} rows",
                f"name {pasteable(name)} in 'exclude'",
                column=name,
            )


def copies_of_target(known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield covariates that are the target's of the same, an earlier or a later row.

    `known` has the target stamped when it is known. A later row's target is a leak: the column is stamped before
    what it holds is known. The same and an earlier row's are what a model looks back on anyway.
    """
    for target in spec.features.targets:
        yield from _copies_of(target, known, spec)


def _copies_of(target: str, known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    left_out = {*spec.features.targets, *fitting_columns(known.columns, spec.features.known_future)}
    covariates = [name for name in known.columns if name not in left_out and varies(known[name].to_numpy())]
    if target not in known.columns or not covariates or not varies(known[target].to_numpy()):
        return
    farthest = min(max(10, 2 * (spec.features.lead + spec.horizon)), _FARTHEST, len(known) - FEWEST)
    changes = known[[target, *covariates]].where(np.isfinite(known)).diff().rank()
    changes = changes - changes.mean()
    ranks, own = changes[covariates].to_numpy(), changes[target].to_numpy()
    shifts = np.arange(-farthest, farthest + 1)
    alike = np.abs(np.stack([_correlation(ranks, own, int(shift)) for shift in shifts])) if farthest > 0 else None
    if alike is None:
        return
    for position, name in enumerate(covariates):
        best = int(alike[:, position].argmax())
        if alike[best, position] >= SAME:
            # Of a target that repeats itself, the nearest that is no leak is as true as any.
            as_good = shifts[alike[:, position] >= alike[best, position] - 1e-9]
            harmless = as_good[as_good <= 0]
            shift = int(harmless.max()) if len(harmless) else int(as_good.min())
            yield _copy(name, target, shift, known, spec)


def _copy(name: str, target: str, shift: int, known: pd.DataFrame, spec: TuneSpec) -> Finding:
    if shift > 0:
        raw = shift - spec.features.label_horizon
        words = f"the target {pasteable(target)} of {shift} rows later"
        if spec.features.label_horizon and raw == 0:
            words = f"the target {pasteable(target)}, which is not known until {shift} rows later"
        return Finding(
            "leaking-column",
            f"a value must be stamped when it becomes known, and {pasteable(name)} is {words}: a model would read the "
            "answer",
            "name it in 'exclude', or shift it down in the view or query; if it is truly known by then (an open that "
            "is the last close), name it in 'known_future'",
            column=name,
            timestamps=first_few(known.index),
        )
    if shift == 0:
        return Finding(
            "target-copy",
            f"{pasteable(name)} is the target {pasteable(target)} itself, on which a model looks back anyway",
            "name it in 'exclude'",
            column=name,
        )
    return Finding(
        "lagged-target-copy",
        f"{pasteable(name)} is the target {pasteable(target)} of {-shift} rows before, on which a model looks back "
        "anyway",
        "name it in 'exclude'",
        column=name,
    )


def _correlation(ranks: Array, own: Array, shift: int) -> Array:
    """Return each column's correlation with the target of `shift` rows later, over the rows that have both."""
    n = len(own)
    earlier, later = ranks[max(-shift, 0) : n - max(shift, 0)], own[max(shift, 0) : n - max(-shift, 0)]
    both = ~np.isnan(earlier) & ~np.isnan(later)[:, None]
    x, y = np.where(both, earlier, 0.0), np.where(both, later[:, None], 0.0)
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    correlated: Array = np.where(both.sum(axis=0) >= FEWEST, (x * y).sum(axis=0) / np.maximum(size, 1e-300), 0.0)
    return correlated


def varies(values: Array) -> bool:
    """Return whether a column holds two values that differ, and three at least."""
    finite = values[np.isfinite(values)]
    return len(finite) >= 3 and bool(np.ptp(finite) > 0)
