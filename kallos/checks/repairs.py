"""Repairs of a specification: causal, only those that are requested, and never in the database."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import pandas as pd

from kallos.checks.examination import examine
from kallos.checks.findings import Examination
from kallos.errors import UsageError
from kallos.specs.study import TuneSpec
from kallos.words import did_you_mean

Fix = Callable[[TuneSpec, Examination], TuneSpec]


def repair(
    rows: pd.DataFrame, spec: TuneSpec, fixes: Iterable[str], *, now: datetime | None = None
) -> tuple[TuneSpec, Examination]:
    """Return the specification after these repairs, in their order, and what a check then finds.

    Raises `UsageError` for a repair that is not in `FIXES`.
    """
    asked = list(fixes)
    for name in asked:
        if name not in FIXES:
            raise UsageError(f"`fix` must name known repairs, not {name!r}: {did_you_mean(name, FIXES)}")
    examination = examine(rows, spec, now=now)
    for name in asked:
        repaired = FIXES[name](spec, examination)
        if repaired != spec:
            spec, examination = repaired, examine(rows, repaired, now=now)
    return spec, examination


def study_lines(before: TuneSpec, after: TuneSpec) -> list[str]:
    """Return the lines of a study file (TOML) that turn `before` into `after`."""
    lines: list[str] = []
    for table in ("data", "features"):
        old, new = (getattr(spec, table).model_dump(mode="json") for spec in (before, after))
        changed = [
            f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in new.items() if value != old[field]
        ]
        if changed:
            lines += [f"[{table}]", *changed]
    return lines


def _fill_forward(spec: TuneSpec, examination: Examination) -> TuneSpec:
    if not _columns(examination, "inner-missing-values", "trailing-missing-values"):
        return spec
    return spec.model_copy(update={"data": spec.data.model_copy(update={"fill": "forward"})})


def _start_later(spec: TuneSpec, examination: Examination) -> TuneSpec:
    starts = [finding.known_from for finding in examination.findings if finding.known_from is not None]
    if not starts:
        return spec
    return spec.model_copy(update={"data": spec.data.model_copy(update={"start_date": str(max(starts))})})


def _excluding(*faults: str) -> Fix:
    def exclude(spec: TuneSpec, examination: Examination) -> TuneSpec:
        names = [name for name in _columns(examination, *faults) if name not in spec.features.targets]
        if not names:
            return spec
        features = spec.features.model_copy(update={"exclude": (*spec.features.exclude, *dict.fromkeys(names))})
        return spec.model_copy(update={"features": features})

    return exclude


def _columns(examination: Examination, *faults: str) -> list[str]:
    found = (finding.column for finding in examination.findings if finding.fault in faults)
    return [column for column in found if column is not None]


FIXES: Mapping[str, Fix] = {
    "ffill": _fill_forward,
    "later-start": _start_later,
    "drop-constant": _excluding("constant-column", "near-constant-column", "constant-in-training"),
    "drop-duplicates": _excluding("duplicate-column", "target-copy", "lagged-target-copy"),
    "drop-leaks": _excluding("leaking-column"),
    "drop-empty": _excluding("empty-column"),
    "drop-text": _excluding("text-column", "boolean-column", "object-column", "integer-overflow"),
}
