"""The rows and the plan of a finished study, restored."""

import pandas as pd

from kallos.errors import DataError
from kallos.features.moments import moment
from kallos.features.snapshots import frame_sha256, read_snapshot, snapshot_address, write_snapshot
from kallos.features.store import FeatureStore
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import study_panel
from kallos.planning import StudyPlan, planned_folds
from kallos.settings import DB_TIMEOUT
from kallos.study.best_params import BestParams, ScoredWindow
from kallos.words import scrubbed, shorten


def study_rows(
    best: BestParams, snapshots: str, *, features_url: str, timeout: float = DB_TIMEOUT
) -> tuple[pd.DataFrame, str]:
    """Return the rows that the study saw, and the address of their snapshot.

    They come from the folder (or fsspec URL) of snapshots, otherwise from the database. Raises `DataError` if the
    database has changed.
    """
    data = best.data
    address = snapshot_address(data.sha256, snapshots)
    try:
        rows = read_snapshot(address)
        if frame_sha256(rows) == data.sha256:
            # Writing it again marks it as recently used.
            return rows, write_snapshot(rows, snapshots)
    except OSError:
        pass
    source = best.spec.data
    with FeatureStore(features_url, timeout=timeout) as store:
        frame = store.load(source.model_copy(update={"end_date": str(data.end)}))
    panel = study_panel(frame, best.spec)
    rows = panel.frame[(panel.frame.index >= moment(data.start)) & (panel.frame.index <= moment(data.end))]
    found = frame_sha256(rows)
    if found != data.sha256:
        raise DataError(
            f"the rows must be those that the study saw ({data.sha256[:12]}, {data.rows} rows), but {source.source} "
            f"has changed since ({found[:12]}, {len(rows)} rows), and {scrubbed(snapshots)} has no snapshot of them: "
            f"restore the snapshot, or tune again on the current rows"
        )
    return rows, write_snapshot(rows, snapshots)


def plan_again(best: BestParams, rows: pd.DataFrame, snapshot: str) -> StudyPlan:
    """Return the plan of a finished study, with the same rows and folds, but without a current window.

    Raises `DataError` if the rows do not have the timestamps of a fold.
    """
    panel = Panel(rows, tuple(best.data.rows_by_asset.values()))
    windows = [_fold(number, window, panel.calendar) for number, window in enumerate(best.folds, start=1)]
    folds, _ = planned_folds(panel, windows, best.spec)
    return StudyPlan(
        spec=best.spec,
        snapshot=snapshot,
        data=best.data,
        folds=folds,
        current_fold=None,
        longest_input=best.longest_input,
        holdout_start=best.holdout_start,
        holdout_end=best.holdout_end,
    )


def _fold(number: int, window: ScoredWindow, index: pd.Index) -> Fold:
    timestamps = (window.train_start, window.train_end, window.validation_start, window.validation_end)
    first, last, start, end = index.get_indexer(pd.Index([moment(each) for each in timestamps]))
    if not 0 <= first <= last < start <= end:
        raise DataError(
            f"fold {number} must lie in the study's rows, and no row has one of the timestamps {shorten(timestamps)}"
        )
    return Fold(number, int(first), int(last) + 1, int(start), int(end) + 1)
