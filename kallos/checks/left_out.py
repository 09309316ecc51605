"""Rows that were unfit when they were ingested: no gap of a trading calendar shows that they are missing."""

from dataclasses import replace

import pandas as pd

from kallos.checks.findings import Examination, Finding, first_few
from kallos.features.dates import bounds
from kallos.specs.data import DataSpec
from kallos.words import shorten

_MOST_NAMED = 3


def with_left_out(examination: Examination, left_out: pd.Series, spec: DataSpec) -> Examination:
    """Return what was found in an asset's rows with a word on those that `ingest` left out among and behind them.

    `left_out` are the rules that they break, by their timestamps, as `FeatureStore.left_out` returns them.
    """
    if left_out.empty or examination.first is None:
        return examination
    _, end = bounds(spec, has_dates=True)
    # What lies before the first row is no part of the study, nor what warms indicators up.
    missing = left_out[pd.Timestamp(examination.first) : end]
    if missing.empty:
        return examination
    named = [f"{timestamp}: {rule}" for timestamp, rule in missing.items()]
    finding = Finding(
        "left-out-rows",
        f"rows that ingest left out as unfit are missing, {len(missing)} in all ({shorten(named, _MOST_NAMED)}), and "
        f"what moved most may be among them",
        "correct them and ingest them again, or judge what is found without them accordingly",
        column=spec.timestamp_column,
        timestamps=first_few(missing.index),
        table=spec.features_table,
    )
    return replace(examination, findings=(*examination.findings, finding))
