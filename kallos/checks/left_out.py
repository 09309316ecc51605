"""Reports rows that `ingest` left out as unfit: in a trading calendar, nothing else shows that they are missing."""

from dataclasses import replace

import pandas as pd

from kallos.checks.findings import Examination, Finding, first_few
from kallos.features.dates import bounds
from kallos.specs.data import DataSpec
from kallos.words import shorten


def with_left_out(examination: Examination, left_out: pd.Series, spec: DataSpec) -> Examination:
    """Return an asset's findings, with a warning if `ingest` left out rows among or after its rows.

    `left_out` has the rules that they break, indexed by timestamp, as `FeatureStore.left_out` returns them.
    """
    if left_out.empty or examination.first is None:
        return examination
    _, end = bounds(spec, has_dates=True)
    # Rows before the first are no part of the study.
    missing = left_out[pd.Timestamp(examination.first) : end]
    if missing.empty:
        return examination
    named = [f"{timestamp}: {rule}" for timestamp, rule in missing.items()]
    finding = Finding(
        "left-out-rows",
        f"ingest left out unfit rows, {len(missing)} in all ({shorten(named, 3)}), and the largest moves may be among "
        "them",
        "correct them and ingest them again, or keep in mind that the study does not see them",
        column=spec.timestamp_column,
        timestamps=first_few(missing.index),
        table=spec.features_table,
    )
    return replace(examination, findings=(*examination.findings, finding))
