"""Does what a fold trains on move with rows that were not known yet?"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.perturbation import with_other_values
from kallos.audit.verdicts import AuditVerdict
from kallos.errors import FitError
from kallos.features.moments import timestamp
from kallos.folds.columns import PreparedFold, group_columns, prepare_fold
from kallos.folds.grid import Fold
from kallos.specs.data import FeatureSpec
from kallos.words import counted

Prepare = Callable[[pd.DataFrame, Fold, FeatureSpec], PreparedFold]
Fill = Callable[[pd.DataFrame], pd.DataFrame]
Array = npt.NDArray[np.float64]


def audit_fill(frame: pd.DataFrame, features: FeatureSpec, fill: Fill) -> list[AuditVerdict]:
    """Return a verdict per column: whether what `fill` makes of the rows up to a moment moves with later ones.

    `frame` holds the rows as loaded, `fill` returns those that a study uses. At several moments all values behind get
    others, the missing ones too.
    """
    whole = fill(frame)
    moved: dict[str, tuple[int, str]] = {}
    cuts = _cuts(len(frame))
    for seed, cut in enumerate(cuts):
        now = frame.index[cut]
        # A label of row i is known label_horizon rows later: those that look behind the cut are not known there.
        unknown = frame.columns.get_loc(features.only_target)
        others = with_other_values(_numeric(frame, features), cut + 1, seed=seed)
        first = max(cut + 1 - features.label_horizon, 0)
        label = with_other_values(frame[[features.only_target]].astype(np.float64), first, seed=seed)
        changed = frame.copy()
        for name in others.columns:
            changed[name] = others[name]
        changed.isetitem(unknown, label[features.only_target])
        before, after = whole.loc[:now], fill(changed).loc[:now]
        shared = before.index.intersection(after.index)
        for name, change in changes(before.loc[shared], after.loc[shared]).items():
            if len(change.rows):
                row = str(timestamp(shared[change.first]))
                moved.setdefault(name, (len(change.rows), f"first {row}, when rows behind {timestamp(now)} change"))
    return [_filled(name, moved.get(name), len(cuts)) for name in whole.columns]


def audit_preparation(
    rows: pd.DataFrame, folds: Sequence[Fold], features: FeatureSpec, *, prepare: Prepare = prepare_fold
) -> list[AuditVerdict]:
    """Return a verdict per column: whether a fold's prepared rows move with rows that were not known yet.

    `rows` is a frame as `study_frame` returns it. In each fold the rows behind those that train get other values: no
    prepared training row and not the target's scale may move by a bit. Then those behind a row in the midst of the
    validation window: no prepared row up to it may move.
    """
    moved: dict[str, str] = {}
    names: list[str] = [features.only_target]
    for fold in folds:
        prepared = prepare(rows, fold, features)
        names = _names(rows, prepared, features)
        window = fold.validation_stop - fold.validation_start
        # None of what trains may know the first, nothing at all may know what is behind the second.
        for cut in (fold.train_stop, fold.validation_start + (window + 1) // 2):
            if cut >= fold.validation_stop:
                continue
            n_known = cut - fold.train_start
            try:
                other = prepare(with_other_values(rows, cut, seed=fold.number), fold, features)
            except FitError:
                # Values so far off that float32 cannot hold them: the rows behind are used, and that is allowed.
                continue
            before, after = _values(prepared)[:n_known], _values(other)[:n_known]
            if before.shape != after.shape:
                moved.setdefault("", f"fold {fold.number}: other columns are made when later rows change")
                continue
            for position, name in enumerate(names):
                differ = np.flatnonzero(~_same(before[:, position], after[:, position]))
                if len(differ):
                    moved.setdefault(
                        name,
                        f"fold {fold.number}: {len(differ)} of {n_known} prepared rows up to "
                        f"{timestamp(rows.index[cut - 1])} move when later ones change, first "
                        f"{timestamp(rows.index[fold.train_start + int(differ[0])])}",
                    )
            if prepared.target_scale != other.target_scale:
                moved.setdefault(
                    features.only_target,
                    f"fold {fold.number}: its mean and scale move when rows behind {timestamp(rows.index[cut - 1])} "
                    f"change",
                )
    verdicts = [_prepared(name, moved.get(name), len(folds)) for name in names]
    if "" in moved:
        verdicts.append(_prepared(None, moved[""], len(folds)))
    return verdicts


def _cuts(n_rows: int) -> list[int]:
    return sorted({round(share * (n_rows - 1)) for share in (0.31, 0.53, 0.71, 0.89)})


def _numeric(frame: pd.DataFrame, features: FeatureSpec) -> pd.DataFrame:
    names = [name for name in frame.columns if frame[name].dtype.kind in "iuf" and name != features.only_target]
    return frame[names].astype(np.float64)


def _names(rows: pd.DataFrame, prepared: PreparedFold, features: FeatureSpec) -> list[str]:
    """Return what the prepared columns are called: as in the rows, unless principal components took their place."""
    columns = [name for names in group_columns(rows.columns, features).values() for name in names]
    width = 0 if prepared.past_covariates is None else prepared.past_covariates.width
    covariates = columns if width == len(columns) else [f"covariate {position + 1}" for position in range(width)]
    return [features.only_target, *covariates]


def _values(prepared: PreparedFold) -> Array:
    parts = [prepared.target.values()]
    if prepared.past_covariates is not None:
        parts.append(prepared.past_covariates.values())
    return np.hstack(parts)


def _same(before: Array, after: Array) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (before == after) | (np.isnan(before) & np.isnan(after))
    return same


def _filled(name: str, moved: tuple[int, str] | None, n_cuts: int) -> AuditVerdict:
    if moved is None:
        return AuditVerdict(
            stage="preparation",
            column=name,
            verdict="clean",
            evidence=f"no row before any of {counted(n_cuts, 'moment')} moves when later ones change",
        )
    n_rows, where = moved
    return AuditVerdict(
        stage="preparation",
        column=name,
        verdict="leak",
        evidence=f"{counted(n_rows, 'row')} of the study change, {where}: missing values are filled from the future",
        remedy="fill with the last known value (`fill` forward), never with a later one",
    )


def _prepared(name: str | None, moved: str | None, n_folds: int) -> AuditVerdict:
    if moved is None:
        return AuditVerdict(
            stage="preparation",
            column=name,
            verdict="clean",
            evidence=f"not a bit of what is known moves in {counted(n_folds, 'fold')} when later rows change",
        )
    return AuditVerdict(
        stage="preparation",
        column=name,
        verdict="leak",
        evidence=moved,
        remedy="fit every scaler on the training rows alone, and compute each row from those before it",
    )
