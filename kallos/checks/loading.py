"""A study's features, read once, and handed on only if they are sound."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from kallos.checks.examination import examine
from kallos.checks.findings import Examination
from kallos.checks.left_out import with_left_out
from kallos.checks.together import examine_together
from kallos.feature_store import FeatureStore, by_asset, tidy
from kallos.row_chunks import OnRows
from kallos.settings import DB_TIMEOUT
from kallos.specs import DataSpec, TuneSpec


@dataclass(frozen=True)
class _Read:
    """An asset's rows, and the rules that those break which are left out."""

    rows: pd.DataFrame
    left_out: pd.Series


# What was read last, where studies share it.
_last_read: ContextVar[dict[tuple[str, DataSpec], _Read] | None] = ContextVar("last_read", default=None)


@contextmanager
def shared_rows() -> Iterator[None]:
    """Let studies in this block that follow one another on the same rows read them once; the last ones are kept."""
    token = _last_read.set({})
    try:
        yield
    finally:
        _last_read.reset(token)


def load_sound_features(
    db_url: str,
    spec: TuneSpec,
    *,
    now: datetime | None = None,
    timeout: float = DB_TIMEOUT,
    on_rows: OnRows | None = None,
) -> tuple[pd.DataFrame, Examination]:
    """Return the features of a study as `load_features_from_db` does, and what was found in them.

    Raises `DataError` with a line for each fault if tuning on them would be unsound.
    """
    read = {data.only_asset: _read(db_url, data, timeout, on_rows) for data in spec.data.each()}
    rows = {asset: each.rows for asset, each in read.items()}
    left_out = {asset: each.left_out for asset, each in read.items()}
    examination = Examination.of_assets(examine_each(rows, spec, now=now, left_out=left_out))
    examination.require_sound()
    features = by_asset({data.only_asset: tidy(rows[data.only_asset], data) for data in spec.data.each()})
    if len(rows) > 1:
        together = examine_together(features, spec)
        together.require_sound()
        examination = replace(examination, findings=(*examination.findings, *together.findings))
    return features, examination


def examine_each(
    rows: Mapping[str, pd.DataFrame],
    spec: TuneSpec,
    *,
    now: datetime | None = None,
    left_out: Mapping[str, pd.Series] | None = None,
) -> dict[str, Examination]:
    """Return what is found in the rows of each asset by itself, with those that `ingest` has left out."""
    found = {}
    for data in spec.data.each():
        asset, own = data.only_asset, spec.model_copy(update={"data": data})
        found[asset] = examine(rows[asset], own, now=now, is_alone=len(rows) == 1)
        if left_out is not None:
            found[asset] = with_left_out(found[asset], left_out[asset], data)
    return found


def _read(db_url: str, spec: DataSpec, timeout: float, on_rows: OnRows | None) -> _Read:
    shared = _last_read.get()
    read = shared.get((db_url, spec)) if shared is not None else None
    if read is None:
        with FeatureStore(db_url, timeout=timeout) as store:
            read = _Read(store.read(spec, on_rows), store.left_out(spec))
    if shared is not None:
        shared.clear()
        shared[db_url, spec] = read
    return read
