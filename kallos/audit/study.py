"""Runs all stages of an audit on one study."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from kallos.audit.association import audit_associations
from kallos.audit.forecasts import audit_forecasts, quick_fit
from kallos.audit.labels import audit_label, unrealised_rows
from kallos.audit.preparation import audit_fill, audit_preparation
from kallos.audit.query import Load, audit_query, audit_table
from kallos.audit.revisions import audit_revisions, not_comparable
from kallos.audit.verdicts import AuditVerdict, Stage
from kallos.errors import DataError, require, require_callable
from kallos.features.moments import timestamp
from kallos.folds.columns import at_origins, columns_of_numbers
from kallos.folds.cut import FoldGrid, cut_folds
from kallos.folds.derived import reach
from kallos.folds.rows import require_rows
from kallos.folds.study import cut_timestamps, first_rows, rows_of_asset, rows_of_study
from kallos.specs.study import TuneSpec


def audit_study(
    frame: pd.DataFrame,
    spec: TuneSpec,
    *,
    load: Load | None = None,
    earlier: pd.DataFrame | None = None,
    earlier_target: str | None = None,
    no_earlier: str = "there is no earlier snapshot of these rows",
    watch: Callable[[Stage], None] = lambda stage: None,
) -> list[AuditVerdict]:
    """Return the verdicts of all stages on a study's rows as loaded; `watch` is called with each stage as it begins.

    Rows of a hold-out are cut off first. `load(end_date)` computes the rows up to an earlier end date if a query
    computes them. `earlier` has the rows of an earlier snapshot, and `earlier_target` is the name of its target if that
    has another label horizon. The stages after `label` leave out rows at the end whose target is not known yet.

    Raises `DataError` if the columns or rows are unfit for the study, unless a leak has been found by then.
    """
    require_rows(frame=frame)
    require(TuneSpec, spec=spec)
    require_callable(load=load, watch=watch)
    require((pd.DataFrame, type(None)), earlier=earlier)
    require((str, type(None)), earlier_target=earlier_target)
    require(str, no_earlier=no_earlier)
    features = spec.features
    spec.data.refuse_several()
    verdicts: list[AuditVerdict] = []
    grid: FoldGrid | None = None
    end_date, labelled = spec.data.end_date, frame
    if spec.folds.holdout:
        grid, frame = before_holdout(frame, spec)
        # The labels of the last rows become known only after the cut.
        labelled = frame.iloc[: len(frame) - features.label_horizon]
        load, end_date = _up_to(load, frame.index[-1]), str(timestamp(frame.index[-1]))
    # Raises `DataError` for columns that are not numbers, which no stage can test.
    columns_of_numbers(frame, features)
    watch("query")
    verdicts += [audit_table()] if load is None else audit_query(load, features, end_date=end_date)
    # Labels come before study_frame, which would refuse some of what this stage finds, and before the slow stages.
    watch("label")
    verdicts += audit_label(labelled, features)
    too_many = unrealised_rows(labelled, features.only_target) - features.label_horizon if grid is None else 0
    frame = frame.iloc[:-too_many] if 0 < too_many < len(frame) else frame
    try:
        rows = rows_of_asset(frame, spec)
    except DataError:
        # A column computed from later rows is missing in the last ones: the leak explains more than this error.
        if any(each.verdict == "leak" for each in verdicts):
            return verdicts
        raise
    watch("revisions")
    # Means at the beginning are over fewer rows, and two states may begin at different dates.
    settled = slice(reach(features), None)
    verdicts += (
        [not_comparable(no_earlier)]
        if earlier is None
        else audit_revisions(rows.iloc[settled], earlier.iloc[settled], earlier_target=earlier_target)
    )
    watch("association")
    # What is known ahead is read at the row that is forecast.
    verdicts += audit_associations(at_origins(rows, features, features.lead), features, seed=spec.seed)
    watch("preparation")
    grid = grid or cut_folds(rows.index, spec.folds, lead=features.lead, frequency=spec.data.frequency)
    folds = grid.folds
    filled = audit_fill(frame, features, partial(rows_of_asset, spec=spec))
    # audit_preparation reports clean columns.
    verdicts += [each for each in filled if each.verdict != "clean"]
    verdicts += audit_preparation(rows, folds, features)
    watch("forecast")
    with quick_fit(spec, folds[0]) as fit:
        verdicts += audit_forecasts(rows, folds[0], fit, features)
    return verdicts


def before_holdout(frame: pd.DataFrame, spec: TuneSpec) -> tuple[FoldGrid, pd.DataFrame]:
    """Return a study's grid of folds, and its loaded rows without those of the hold-out.

    Raises `DataError` if there are too few rows for the folds and the hold-out.
    """
    whole, grid = cut_timestamps({spec.data.only_asset: frame.index}, spec)
    (n_rows,) = rows_of_study(whole, grid, spec).values()
    return grid, first_rows(frame, n_rows)


def _up_to(load: Load | None, last: pd.Timestamp | int) -> Load | None:
    """Return a `load` that drops rows after the last one, whatever the query returns."""
    return None if load is None else lambda end_date: load(end_date).loc[:last]
