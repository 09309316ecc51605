"""Columns that copy each other, the target, or the target of another row."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import at_origins, fitting_columns, known_columns
from kallos.specs.study import TuneSpec
from kallos.words import counted, pasteable

Array = npt.NDArray[np.float64]

# From this rank correlation of their changes from row to row on, two columns differ only in unit and rounding.
SAME = 0.999
FEWEST = 30
_FARTHEST = 60


def duplicate_columns(numbers: pd.DataFrame, targets: tuple[str, ...]) -> Iterator[Finding]:
    """Yield covariates with the same values as an earlier column, except constant ones."""
    seen: dict[bytes, str] = {}
    for name in numbers.columns.drop(list(targets), errors="ignore"):
        values = numbers[name].to_numpy()
        if not varies(values):
            continue
        first = seen.setdefault(values.tobytes(), name)
        if first != name:
            yield Finding(
                "duplicate-column",
                f"{pasteable(name)} has the same values as {pasteable(first)} in all {len(values)} rows",
                f"name {pasteable(name)} in 'exclude'",
                column=name,
            )


def copies_of_target(known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield covariates that equal the target of the same, an earlier or a later row.

    `known` has the target at the timestamp when it is known. The target of a later row is a leak; a model sees the
    target of the same or an earlier row anyway. A column that is known ahead is read at the rows that are forecast, so
    there the target of its own row is a leak, too.
    """
    seen = at_origins(known, spec.features, spec.features.lead + spec.horizon - 1)
    for target in spec.features.targets:
        yield from _copies_of(target, seen, spec)


def _copies_of(target: str, known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    left_out = {*spec.features.targets, *fitting_columns(known.columns, spec.features.known_now)}
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
            # If the target repeats itself, several shifts fit equally well: prefer the nearest that is no leak.
            as_good = shifts[alike[:, position] >= alike[best, position] - 1e-9]
            harmless = as_good[as_good <= 0]
            shift = int(harmless.max()) if len(harmless) else int(as_good.min())
            yield _copy(name, target, shift, known, spec)


def _copy(name: str, target: str, shift: int, known: pd.DataFrame, spec: TuneSpec) -> Finding:
    if shift > 0 and name in known_columns(known.columns, spec.features):
        own = spec.features.lead + spec.horizon - 1 - shift
        which = "of its own row" if own == 0 else f"{counted(abs(own), 'row')} {'earlier' if own > 0 else 'later'}"
        return Finding(
            "leaking-column",
            f"a column that is known ahead must not give away the target, and {pasteable(name)} equals the target "
            f"{pasteable(target)} {which}: a model would read the answer",
            "remove it from 'known_future'",
            column=name,
            timestamps=first_few(known.index),
        )
    if shift > 0:
        raw = shift - spec.features.label_horizon
        words = f"the target {pasteable(target)} {counted(shift, 'row')} later"
        if spec.features.label_horizon and raw == 0:
            words = f"the target {pasteable(target)}, which becomes known only {counted(shift, 'row')} later"
        return Finding(
            "leaking-column",
            f"a value must not appear before it is known, and {pasteable(name)} equals {words}: a model would read "
            "the answer",
            "name it in 'exclude', or shift it down in the view or query; if it really is known by then (such as an "
            "open that equals the last close), name it in 'known_now'",
            column=name,
            timestamps=first_few(known.index),
        )
    fault, which = ("lagged-target-copy", f" {counted(-shift, 'row')} earlier") if shift else ("target-copy", "")
    return Finding(
        fault,
        f"{pasteable(name)} equals the target {pasteable(target)}{which}, which a model sees anyway",
        "name it in 'exclude'",
        column=name,
    )


def _correlation(ranks: Array, own: Array, shift: int) -> Array:
    """Return each column's correlation with the target `shift` rows later, over the rows that have both."""
    n = len(own)
    earlier, later = ranks[max(-shift, 0) : n - max(shift, 0)], own[max(shift, 0) : n - max(-shift, 0)]
    both = ~np.isnan(earlier) & ~np.isnan(later)[:, None]
    x, y = np.where(both, earlier, 0.0), np.where(both, later[:, None], 0.0)
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    correlated: Array = np.where(both.sum(axis=0) >= FEWEST, (x * y).sum(axis=0) / np.maximum(size, 1e-300), 0.0)
    return correlated


def varies(values: Array) -> bool:
    """Return whether a column has three values or more, and two of them differ."""
    finite = values[np.isfinite(values)]
    return len(finite) >= 3 and bool(np.ptp(finite) > 0)
