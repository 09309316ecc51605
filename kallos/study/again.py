"""A recorded study's rows and plan, made once more."""

import pandas as pd

from kallos.errors import DataError
from kallos.features.moments import moment
from kallos.features.snapshots import frame_sha256, read_snapshot, snapshot_address, write_snapshot
from kallos.features.store import FeatureStore
from kallos.folds.cut import study_panel
from kallos.folds.grid import Fold
from kallos.folds.panel import Panel
from kallos.planning import StudyPlan, planned_folds
from kallos.settings import DB_TIMEOUT
from kallos.study.best_params import BestParams, ScoredWindow
from kallos.words import scrubbed, shorten


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
    rows = panel.frame[(panel.frame.index >= moment(data.start)) & (panel.frame.index <= moment(data.end))]
    found = frame_sha256(rows)
    if found != data.sha256:
        raise DataError(
            f"the rows must be the very ones that the study saw ({data.sha256[:12]}, {data.rows} rows), and those of "
            f"{source.source} are others by now ({found[:12]}, {len(rows)} rows), and no snapshot of them is in "
            f"{scrubbed(snapshots)}: bring the snapshot, or tune again on the rows as they are"
        )
    return rows, write_snapshot(rows, snapshots)


def plan_again(best: BestParams, rows: pd.DataFrame, snapshot: str) -> StudyPlan:
    """Return the plan of a finished study, on its rows and with its very folds; there is no current window in it.

    Raises `DataError` if a fold's timestamps are none of the rows'.
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
            f"fold {number} must lie in the study's rows, and one of {shorten(timestamps)} is no row's timestamp"
        )
    return Fold(number, int(first), int(last) + 1, int(start), int(end) + 1)
