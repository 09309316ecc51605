"""All stages of an audit, on one study."""

from collections.abc import Callable

import pandas as pd

from kallos.audit.association import audit_associations
from kallos.audit.forecasts import audit_forecasts, quick_fit
from kallos.audit.labels import audit_label, unrealised_rows
from kallos.audit.preparation import audit_fill, audit_preparation
from kallos.audit.query import Load, audit_query, audit_table
from kallos.audit.revisions import audit_revisions, not_testable
from kallos.audit.verdicts import Stage, Verdict
from kallos.errors import DataError
from kallos.folds import cut_folds
from kallos.preprocessing import columns_of_numbers, study_frame
from kallos.specs import TuneSpec


def audit_study(
    frame: pd.DataFrame,
    spec: TuneSpec,
    *,
    load: Load | None = None,
    earlier: pd.DataFrame | None = None,
    earlier_target: str | None = None,
    no_earlier: str = "there is no earlier snapshot of these rows",
    watch: Callable[[Stage], None] = lambda stage: None,
) -> list[Verdict]:
    """Return the verdicts of all stages on a study's rows as loaded; `watch` is told each stage before it begins.

    `load(end_date)` computes the rows up to an earlier end date, where they are computed by a query. `earlier` holds
    the rows of an earlier snapshot, and `earlier_target` is its target's name where that was stamped otherwise. Rows at
    the end whose target is not known yet are left out of what follows the label's stage.

    Raises `DataError` if the columns or rows are unfit for the study, unless a leak was found by then.
    """
    features = spec.features
    verdicts: list[Verdict] = []
    # Of columns that are no numbers nothing can be asked.
    columns_of_numbers(frame, features)
    watch("query")
    spec.data.refuse_several()
    verdicts += [audit_table()] if load is None else audit_query(load, features, end_date=spec.data.end_date)
    # What study_frame refuses is said before the slow stages, and of the label what it would refuse.
    watch("label")
    verdicts += audit_label(frame, features)
    too_many = unrealised_rows(frame, features.only_target) - features.label_horizon
    frame = frame.iloc[:-too_many] if 0 < too_many < len(frame) else frame
    try:
        rows = study_frame(frame, features, fill=spec.data.fill)
    except DataError:
        # A value that later rows make is missing in the last ones: what is known of it so far says more.
        if any(each.verdict == "leak" for each in verdicts):
            return verdicts
        raise
    watch("revisions")
    verdicts += (
        [not_testable(no_earlier)] if earlier is None else audit_revisions(rows, earlier, earlier_target=earlier_target)
    )
    watch("association")
    verdicts += audit_associations(rows, features, seed=spec.seed)
    watch("preparation")
    folds = cut_folds(rows.index, spec.folds, lead=features.lead, frequency=spec.data.frequency).folds
    filled = audit_fill(frame, features, lambda given: study_frame(given, features, fill=spec.data.fill))
    # A column that is clean in both is so once.
    verdicts += [each for each in filled if each.verdict != "clean"]
    verdicts += audit_preparation(rows, folds, features)
    watch("forecast")
    with quick_fit(spec, folds[0]) as fit:
        verdicts += audit_forecasts(rows, folds[0], fit, target=features.only_target, lead=features.lead)
    return verdicts
