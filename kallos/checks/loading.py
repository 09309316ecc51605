"""Reads a study's features once, and returns them only if they are sound."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from kallos.checks.examination import examine, examine_stamped, look_at_timestamps
from kallos.checks.findings import Examination
from kallos.checks.left_out import with_left_out
from kallos.checks.timestamps import Stamped
from kallos.checks.together import examine_together
from kallos.errors import DataError
from kallos.features.chunks import OnRows
from kallos.features.dates import bounds
from kallos.features.rows import by_asset, tidy
from kallos.features.store import FeatureStore
from kallos.folds.columns import observed_rows
from kallos.folds.study import cut_timestamps, rows_of_study
from kallos.settings import DB_TIMEOUT
from kallos.specs.data import DataSpec
from kallos.specs.study import TuneSpec


@dataclass(frozen=True)
class AssetRows:
    """An asset's rows in the database, and the rules that the rows left out by `ingest` break."""

    rows: pd.DataFrame
    left_out: pd.Series


class RowReader:
    """Reads assets' rows from a database, and keeps the last ones for requests of the same or fewer rows."""

    def __init__(self, db_url: str, *, timeout: float = DB_TIMEOUT, on_rows: OnRows | None = None) -> None:
        self._db_url = db_url
        self._timeout = timeout
        self._on_rows = on_rows
        self._last: tuple[DataSpec, AssetRows] | None = None

    def read(self, spec: DataSpec) -> AssetRows:
        """Return the rows of one asset; kept rows may go beyond the end date."""
        if self._last is not None and _holds(*self._last, spec):
            return self._last[1]
        with FeatureStore(self._db_url, timeout=self._timeout) as store:
            read = AssetRows(store.read(spec, self._on_rows), store.left_out(spec))
        self._last = spec, read
        return read


def _holds(kept: DataSpec, read: AssetRows, asked: DataSpec) -> bool:
    """Return whether kept rows include all rows of another specification, which may end earlier."""
    if kept.model_copy(update={"end_date": asked.end_date}) != asked:
        return False
    if kept.end_date in (None, asked.end_date):
        return True
    has_dates = read.rows[asked.timestamp_column].dtype.kind not in "iu"
    last, end = (bounds(spec, has_dates=has_dates)[1] for spec in (kept, asked))
    return end is not None and bool(end <= last)


def load_sound_features(
    reader: RowReader, spec: TuneSpec, *, now: datetime | None = None
) -> tuple[pd.DataFrame, Examination]:
    """Return the features of a study as `load_features_from_db` does, and their findings.

    Raises `DataError` with one line for each error if tuning on them would be unsound.
    """
    read = {data.only_asset: _observed(reader.read(data), spec) for data in spec.data.each()}
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


def load_features_to_score(
    reader: RowReader, spec: TuneSpec, *, now: datetime | None = None
) -> tuple[pd.DataFrame, Examination]:
    """Return the features that a trained model is judged on, and their findings.

    Only here are the values of a hold-out examined. Raises `DataError` with one line for each error.
    """
    read = _observed(reader.read(spec.data), spec)
    stamped = look_at_timestamps(read.rows, spec, now)
    examination = with_left_out(examine_stamped(stamped, spec, len(stamped.frame)), read.left_out, spec.data)
    found = (replace(each, remedy=_OF_SETTLED) if each.severity == "error" else each for each in examination.findings)
    examination = replace(examination, findings=tuple(found))
    examination.require_sound()
    return tidy(read.rows, spec.data), examination


def _observed(read: AssetRows, spec: TuneSpec) -> AssetRows:
    """Return the rows without those that only tell what is known ahead."""
    return replace(read, rows=observed_rows(read.rows, spec.features, spec.data.timestamp_column))


# The usual remedies change a study, which is too late for a trained model.
_OF_SETTLED = (
    "correct the table, or score only the rows before it with `test_end_date`; a trained model keeps its columns, "
    "label and filling, so to change them run another study"
)


def examine_each(
    rows: Mapping[str, pd.DataFrame],
    spec: TuneSpec,
    *,
    now: datetime | None = None,
    left_out: Mapping[str, pd.Series] | None = None,
) -> dict[str, Examination]:
    """Return what is wrong with each asset's own rows within the study, and with the rows that `ingest` left out."""
    own = {data.only_asset: spec.model_copy(update={"data": data}) for data in spec.data.each()}
    if len(own) == 1:
        found = {asset: examine(rows[asset], spec, now=now) for asset in own}
    else:
        stamped = {asset: look_at_timestamps(rows[asset], own[asset], now) for asset in own}
        n_rows = _rows_of_each(stamped, spec)
        found = {asset: examine_stamped(stamped[asset], own[asset], n_rows[asset]) for asset in own}
    if left_out is None:
        return found
    return {asset: with_left_out(found[asset], left_out[asset], own[asset].data) for asset in own}


def _rows_of_each(stamped: Mapping[str, Stamped], spec: TuneSpec) -> dict[str, int]:
    """Return how many rows of each asset the study uses; all of them if faulty timestamps prevent cutting it."""
    timestamps = {asset: each.frame.index for asset, each in stamped.items()}
    if spec.folds.holdout and all(each.frequency is not None for each in stamped.values()):
        with suppress(DataError):
            return rows_of_study(*cut_timestamps(timestamps, spec), spec)
    return {asset: len(index) for asset, index in timestamps.items()}
