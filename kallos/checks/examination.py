"""Examines the rows of a study before its first fit, for all faults at once."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from kallos.checks.columns import as_numbers, chosen_columns, unfit_for_study, with_distinct_names
from kallos.checks.copies import copies_of_target, duplicate_columns
from kallos.checks.findings import Examination, Finding, in_order
from kallos.checks.scales import examine_scales
from kallos.checks.shifts import shifted_columns
from kallos.checks.splits import unadjusted_splits
from kallos.checks.study import SeenStudy, cut_study, examine_folds, seen
from kallos.checks.timestamps import Stamped, examine_timestamps, unfinished
from kallos.checks.values import examine_values
from kallos.errors import DataError, require
from kallos.features.unfinished import why_unfinished
from kallos.folds.columns import (
    fitting_columns,
    group_columns,
    observed_rows,
    refuse_long_label,
    shift_to_when_known,
)
from kallos.folds.derived import derived_names
from kallos.folds.study import first_rows
from kallos.specs.study import TuneSpec


def examine(rows: pd.DataFrame, spec: TuneSpec, *, now: datetime | None = None) -> Examination:
    """Return all faults of rows as `FeatureStore.read(spec.data)` returns them, and what a study would see of them.

    After finding a fault it continues on repaired rows (it keeps the first row of a duplicated timestamp, and so on) to
    find later faults too. It reads the timestamps of a hold-out, to see where it begins, but none of its values. Rows
    after `now` (in UTC if it has no zone) are a fault if it is given. The rows are not changed.

    Raises `UsageError` for dates or a frequency that are invalid or do not suit the rows.
    """
    require(pd.DataFrame, rows=rows)
    require(TuneSpec, spec=spec)
    require((datetime, type(None)), now=now)
    return examine_stamped(look_at_timestamps(rows, spec, now), spec)


def look_at_timestamps(rows: pd.DataFrame, spec: TuneSpec, now: datetime | None) -> Stamped:
    """Return rows indexed by timestamp, their columns with distinct names, and what is wrong with either."""
    findings: list[Finding] = []
    distinct = with_distinct_names(rows, findings)
    # Rows that only tell what is known ahead are no rows of the study.
    observed = observed_rows(distinct, spec.features, spec.data.timestamp_column)
    stamped = examine_timestamps(observed, spec.data, now)
    return replace(stamped, findings=[*findings, *stamped.findings])


def examine_stamped(stamped: Stamped, spec: TuneSpec, n_rows: int | None = None) -> Examination:
    """Return all faults of rows, and what a study would see of them.

    Cuts the rows of a single asset into folds. With `n_rows` it examines only the first `n_rows` rows and cuts no
    folds, because several assets share theirs.
    """
    findings, of_folds = [*stamped.findings], list[Finding]()
    whole = stamped.frame
    seen_study = SeenStudy(n_rows) if n_rows is not None else cut_study(whole.index, spec, stamped.frequency, of_folds)
    holdout = whole.index[seen_study.n_rows :]
    chosen = chosen_columns(first_rows(whole, seen_study.n_rows), spec.features, findings)
    findings += unfit_for_study(chosen, spec)
    # Values near the limit of floats overflow in these computations, and are reported by then.
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = _numbers(chosen, spec, findings, has_holdout=len(holdout) > 0)
        _study(numbers, seen_study, spec, findings, of_folds)
    index = numbers.index
    table = spec.data.features_table if spec.data.query is None else "query"
    return Examination(
        findings=in_order(replace(finding, table=table) for finding in findings),
        rows=len(index),
        first=None if index.empty else str(index[0]),
        last=None if index.empty else str(index[-1]),
        left_out=stamped.left_out,
        holdout_rows=len(holdout),
        holdout_first=None if holdout.empty else str(holdout[0]),
        frequency=None if stamped.frequency is None else str(stamped.frequency),
        columns={
            group: tuple(names) for group, names in group_columns(_with_added(numbers, spec), spec.features).items()
        },
        folds=seen(seen_study.folds, index[spec.features.label_horizon :]),
        longest_input=seen_study.longest_input,
    )


def _with_added(numbers: pd.DataFrame, spec: TuneSpec) -> pd.Index:
    """Return the columns, with those that the study adds."""
    return numbers.columns.append(pd.Index(derived_names(numbers.columns, spec.features)))


def _numbers(chosen: pd.DataFrame, spec: TuneSpec, findings: list[Finding], *, has_holdout: bool) -> pd.DataFrame:
    """Return the columns as numbers, after examining the values of each."""
    if chosen.empty:
        return pd.DataFrame(index=chosen.index)
    # The labels of the last rows before a hold-out are known only after the cut.
    n_labels = len(chosen) - spec.features.label_horizon if has_holdout else len(chosen)
    numbers = as_numbers(chosen, spec, findings, n_labels=n_labels)
    if not has_holdout and not any(finding.fault == "unfinished-row" for finding in findings):
        volumes = fitting_columns(numbers.columns, spec.features.volume)
        # What the clock says has been examined with the timestamps.
        found = why_unfinished(numbers, volumes, None)
        if found is not None and found.column is not None:
            findings.append(unfinished(numbers.index, found.why, column=found.column))
    findings += examine_values(numbers, spec)
    findings += examine_scales(numbers, spec.features.targets)
    findings += unadjusted_splits(numbers, spec.features)
    findings += duplicate_columns(numbers, spec.features.targets)
    return numbers


def _study(
    numbers: pd.DataFrame, cut: SeenStudy, spec: TuneSpec, findings: list[Finding], of_folds: list[Finding]
) -> None:
    """Examine what a study makes of the rows."""
    if numbers.index.empty:
        if not any(finding.fault in ("no-rows", "missing-timestamps", "unreadable-timestamps") for finding in findings):
            findings.append(Finding("no-rows", "a study needs rows, and has none", "check `asset_id` and the dates"))
        return
    try:
        refuse_long_label(len(numbers), spec.features)
    except DataError as error:
        findings.append(Finding.of(error))
        return
    known = numbers.where(np.isfinite(numbers))
    if all(target in numbers.columns for target in spec.features.targets):
        known = shift_to_when_known(known, spec.features, fill=spec.data.fill)
        copies = list(copies_of_target(known, spec))
        # A copy of the target is reported once.
        others = known.drop(columns=[finding.column for finding in copies if finding.column is not None])
        findings += [*copies, *shifted_columns(others, spec)]
    findings += of_folds
    findings += examine_folds(known.reindex(numbers.index[spec.features.label_horizon :]), cut.folds, spec)
