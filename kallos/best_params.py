"""A study's best-parameters document, read back: what was tuned, on which rows, and how it did on which folds."""

import json
import posixpath
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from kallos.architectures.study_space import as_drawn
from kallos.errors import DataError, explain, scrubbed, shorten
from kallos.feature_store import FeatureStore
from kallos.folds import Fold
from kallos.panel import Panel
from kallos.planning import DataSummary, Stamp, StudyPlan, planned_folds
from kallos.report import read_best_params
from kallos.result_folder import read_bytes
from kallos.results import TuningResult
from kallos.selection import OneStandardError
from kallos.settings import DB_TIMEOUT
from kallos.snapshots import frame_sha256, read_snapshot, snapshot_address, write_snapshot
from kallos.specs import TuneSpec
from kallos.study_cut import study_panel


class ScoredWindow(BaseModel):
    """A fold as the document has it: its window in the data's stamps, all inclusive, and the best trial's score."""

    model_config = ConfigDict(frozen=True)

    train_start: Stamp
    train_end: Stamp
    validation_start: Stamp
    validation_end: Stamp
    rmse: FiniteFloat
    measured: FiniteFloat | None = None
    best_epoch: int

    @property
    def value(self) -> float:
        """The best trial's error by the study's metric."""
        return self.rmse if self.measured is None else self.measured


class BestParams(BaseModel):
    """What later stages read of the document; what else it holds is for people."""

    model_config = ConfigDict(frozen=True)

    model_name: str
    best_params: dict[str, Any]
    best_value: FiniteFloat
    best_trial: int
    folds: tuple[ScoredWindow, ...] = Field(min_length=1)
    study: str
    data: DataSummary
    spec: TuneSpec
    longest_input: int | None = None
    holdout_start: Stamp | None = None
    holdout_end: Stamp | None = None
    versions: dict[str, str]
    one_se: OneStandardError | None = None

    @property
    def trial_params(self) -> dict[str, Any]:
        """Parameters of the best trial as the study has them: with the architecture, where that was drawn."""
        return as_drawn(self.spec.model_name, self.model_name, self.best_params)


def read_best_params_file(address: str) -> BestParams:
    """Return what a study's `best_params.json`, or a copy of it, says, of this machine or by its fsspec URL.

    Raises `DataError` if it cannot be read, or is no such document of this version.
    """
    folder, name = posixpath.split(address)
    content = read_bytes(folder or ".", name)
    if content is None:
        raise DataError(
            f"a best-parameters file must exist, and {scrubbed(address)} does not: 'kallos-run tune' makes one"
        )
    try:
        return BestParams.model_validate(json.loads(content))
    except ValidationError as error:
        missing = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"]
        reason = f"it lacks {shorten(missing, 3)}" if missing else explain(error)
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON: {error}"
    raise DataError(
        f"a best-parameters file must be one that 'kallos-run tune' of this version wrote, and {scrubbed(address)} is "
        f"not: {reason}"
    )


def read_one_se(result: TuningResult, folder: str) -> OneStandardError | None:
    """Return the choice within one standard error that the study's document has, if it lies in its own folder."""
    content = read_best_params(folder) or {}
    try:
        best = BestParams.model_validate(content)
    except ValidationError:
        return None
    return best.one_se if best.study == result.study_name else None


def study_rows(
    best: BestParams, snapshots: str, *, features_url: str, timeout: float = DB_TIMEOUT
) -> tuple[pd.DataFrame, str]:
    """Return the very rows that the study saw, and the address of their snapshot.

    They come from the folder (or fsspec URL) of snapshots, or else from the database, up to the study's last row; then
    their snapshot is written. Raises `DataError` if the database holds others by now.
    """
    data = best.data
    address = snapshot_address(data.sha256, snapshots)
    try:
        rows = read_snapshot(address)
        if frame_sha256(rows) == data.sha256:
            # It is needed again, however old it is.
            return rows, write_snapshot(rows, snapshots)
    except OSError:
        pass
    source = best.spec.data
    with FeatureStore(features_url, timeout=timeout) as store:
        frame = store.load(source.model_copy(update={"end_date": str(data.end)}))
    panel = study_panel(frame, best.spec)
    rows = panel.frame[(panel.frame.index >= _moment(data.start)) & (panel.frame.index <= _moment(data.end))]
    found = frame_sha256(rows)
    if found != data.sha256:
        raise DataError(
            f"the rows must be the very ones that the study saw ({data.sha256[:12]}, {data.rows} rows), and those of "
            f"{source.source} are others by now ({found[:12]}, {len(rows)} rows), and no snapshot of them is in "
            f"{scrubbed(snapshots)}: bring the snapshot, or tune again on the rows as they are"
        )
    return rows, write_snapshot(rows, snapshots)


def plan_again(best: BestParams, rows: pd.DataFrame, snapshot: str) -> StudyPlan:
    """Return the plan of a finished study, on its rows and with its very folds; there is no open step in it.

    Raises `DataError` if a fold's stamps are none of the rows'.
    """
    by_asset = best.data.by_asset
    panel = Panel(rows, (len(rows),) if by_asset is None else tuple(by_asset.values()))
    windows = [_fold(number, window, panel.calendar) for number, window in enumerate(best.folds, start=1)]
    folds, _ = planned_folds(panel, windows, best.spec)
    return StudyPlan(
        spec=best.spec,
        snapshot=snapshot,
        data=best.data,
        folds=folds,
        open_fold=None,
        longest_input=best.longest_input,
        holdout_start=best.holdout_start,
        holdout_end=best.holdout_end,
    )


def _fold(number: int, window: ScoredWindow, index: pd.Index) -> Fold:
    stamps = (window.train_start, window.train_end, window.validation_start, window.validation_end)
    first, last, start, end = index.get_indexer(pd.Index([_moment(each) for each in stamps]))
    if not 0 <= first <= last < start <= end:
        raise DataError(f"fold {number} must lie in the study's rows, and one of {shorten(stamps)} is no row's stamp")
    return Fold(number, int(first), int(last) + 1, int(start), int(end) + 1)


def _moment(stamp: Stamp) -> pd.Timestamp | int:
    return pd.Timestamp(stamp) if isinstance(stamp, str) else stamp
