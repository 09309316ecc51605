"""The rows of a study looked at before its first fit, for all faults at once."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from kallos.checks.columns import as_numbers, chosen_columns, with_distinct_names
from kallos.checks.copies import copies_of_target, duplicate_columns
from kallos.checks.findings import Examination, Finding
from kallos.checks.scales import examine_scales
from kallos.checks.stamps import Stamped, examine_stamps
from kallos.checks.study import cut_study, examine_folds, seen
from kallos.checks.values import examine_values
from kallos.folds import Fold
from kallos.preprocessing import group_columns, stamp_when_known
from kallos.specs import TuneSpec


def examine(rows: pd.DataFrame, spec: TuneSpec, *, now: datetime | None = None, is_alone: bool = True) -> Examination:
    """Return all faults of rows as `FeatureStore.read(spec.data)` returns them, and what a study would see of them.

    Behind each fault of the rows it goes on with them repaired (of doubled stamps the first is kept, and so on), so
    that later faults are found, too. `now` is the moment that no row should lie behind, in UTC if it has no zone; by
    default none does. The rows are left as they are. Of an asset that is not alone no folds are cut: those are the
    affair of all assets together.

    Raises `UsageError` for dates or a frequency that are none, or do not suit the rows.
    """
    findings: list[Finding] = []
    stamped = examine_stamps(with_distinct_names(rows, findings), spec.data, now)
    findings += stamped.findings
    chosen = chosen_columns(stamped.frame, spec.features, findings)
    # Values near the end of what floats hold overflow on the way: they are named, and that is enough.
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = _numbers(chosen, spec, findings)
        folds, longest_input = _study(stamped, numbers, spec, findings, is_alone=is_alone)
    index = numbers.index
    return Examination(
        findings=_in_order(findings, spec.data.features_table if spec.data.query is None else "query"),
        rows=len(index),
        first=None if index.empty else str(index[0]),
        last=None if index.empty else str(index[-1]),
        left_out=stamped.left_out,
        frequency=stamped.frequency,
        columns={group: tuple(names) for group, names in group_columns(numbers.columns, spec.features).items()},
        folds=seen(folds, _behind_label(index, spec)),
        longest_input=longest_input,
    )


def _numbers(chosen: pd.DataFrame, spec: TuneSpec, findings: list[Finding]) -> pd.DataFrame:
    """Return the columns as numbers, after looking at the values of each."""
    if chosen.empty:
        return pd.DataFrame(index=chosen.index)
    numbers = as_numbers(chosen, spec, findings)
    findings += examine_values(numbers, spec)
    findings += examine_scales(numbers, spec.features.targets)
    findings += duplicate_columns(numbers, spec.features.targets)
    return numbers


def _study(
    stamped: Stamped, numbers: pd.DataFrame, spec: TuneSpec, findings: list[Finding], *, is_alone: bool
) -> tuple[tuple[Fold, ...], int | None]:
    """Return the folds and the clipped input length, after looking at what a study makes of the rows."""
    if numbers.index.empty:
        if not any(finding.fault in ("no-rows", "missing-timestamps", "unreadable-timestamps") for finding in findings):
            findings.append(Finding("no-rows", "a study needs rows, and has none", "see `asset_id` and the dates"))
        return (), None
    if spec.features.label_horizon >= len(numbers):
        findings.append(
            Finding(
                "long-label-horizon",
                f"a label must look ahead by less than the {len(numbers)} rows: not {spec.features.label_horizon}",
                "give a shorter `label_horizon`, or bring more rows",
                parameter="label_horizon",
            )
        )
        return (), None
    known = numbers.where(np.isfinite(numbers))
    if all(target in numbers.columns for target in spec.features.targets):
        known = stamp_when_known(known, spec.features, fill=spec.data.fill)
        findings += copies_of_target(known, spec)
    if not is_alone:
        return (), None
    index = _behind_label(numbers.index, spec)
    folds, longest_input = cut_study(index, spec, stamped.frequency, findings)
    findings += examine_folds(known.reindex(index), folds, spec)
    return folds, longest_input


def _behind_label(index: pd.Index, spec: TuneSpec) -> pd.Index:
    return index[spec.features.label_horizon :]


def _in_order(findings: list[Finding], table: str) -> tuple[Finding, ...]:
    placed = [replace(finding, table=table) for finding in findings]
    return tuple(sorted(placed, key=lambda finding: finding.severity != "error"))
