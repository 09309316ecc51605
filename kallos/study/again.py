"""The rows and the plan of a finished study, restored."""

from collections.abc import Sequence

import pandas as pd

from kallos.errors import DataError
from kallos.features.moments import moment
from kallos.features.snapshots import frame_sha256, read_snapshot, snapshot_address, write_snapshot
from kallos.features.store import FeatureStore
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import study_panel
from kallos.planning import DataSummary, FoldWindow, PlannedFold, StudyPlan, planned_folds
from kallos.settings import DB_TIMEOUT
from kallos.specs.study import TuneSpec
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
    kept = kept_rows(data, snapshots)
    if kept is not None:
        # Writing it again marks it as recently used.
        return kept, write_snapshot(kept, snapshots)
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
    folds = folds_again(rows, best.data, best.folds, best.spec)
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


def folds_again(
    rows: pd.DataFrame, data: DataSummary, windows: Sequence[FoldWindow | ScoredWindow], spec: TuneSpec
) -> tuple[PlannedFold, ...]:
    """Return the folds with these windows on a study's rows, with the scores of the baselines; raises as above."""
    panel = Panel(rows, tuple(data.rows_by_asset.values()))
    folds = [_fold(number, window, panel.calendar) for number, window in enumerate(windows, start=1)]
    return planned_folds(panel, folds, spec)[0]


def kept_rows(data: DataSummary, snapshots: str) -> pd.DataFrame | None:
    """Return the rows of a study from the folder (or fsspec URL) of snapshots, or None if it has no snapshot."""
    try:
        rows = read_snapshot(snapshot_address(data.sha256, snapshots))
    except OSError:
        return None
    return rows if frame_sha256(rows) == data.sha256 else None


def _fold(number: int, window: FoldWindow | ScoredWindow, index: pd.Index) -> Fold:
    timestamps = (window.train_start, window.train_end, window.validation_start, window.validation_end)
    first, last, start, end = index.get_indexer(pd.Index([moment(each) for each in timestamps]))
    if not 0 <= first <= last < start <= end:
        raise DataError(
            f"fold {number} must lie in the study's rows, and no row has one of the timestamps {shorten(timestamps)}"
        )
    return Fold(number, int(first), int(last) + 1, int(start), int(end) + 1)
