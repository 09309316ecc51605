"""The preparation stage: do a fold's prepared rows change with rows that were not known yet?"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.perturbation import with_other_values
from kallos.audit.verdicts import AuditVerdict, clean, leak
from kallos.errors import FitError
from kallos.features.moments import timestamp
from kallos.folds.columns import PreparedFold, group_columns, known_columns, prepare_fold
from kallos.folds.cut import Fold
from kallos.specs.data import FeatureSpec
from kallos.words import counted

Prepare = Callable[[pd.DataFrame, Fold, FeatureSpec], PreparedFold]
Fill = Callable[[pd.DataFrame], pd.DataFrame]
Array = npt.NDArray[np.float64]


def audit_fill(frame: pd.DataFrame, features: FeatureSpec, fill: Fill) -> list[AuditVerdict]:
    """Return a verdict for each column: whether rows that `fill` returns change with later rows.

    `frame` has the rows as loaded, and `fill` returns those that a study uses. At several moments, all later values
    are replaced, including missing ones.
    """
    whole = fill(frame)
    moved: dict[str, tuple[int, str]] = {}
    cuts = _cuts(len(frame))
    for seed, cut in enumerate(cuts):
        now = frame.index[cut]
        # The label of row i becomes known label_horizon rows later: labels that look beyond the cut are not known yet.
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
        for name, changed in changes(before.loc[shared], after.loc[shared]).items():
            if len(changed):
                row = str(timestamp(shared[changed[0]]))
                moved.setdefault(name, (len(changed), f"first {row}, when rows after {timestamp(now)} change"))
    return [_filled(name, moved.get(name), len(cuts)) for name in whole.columns]


def audit_preparation(
    rows: pd.DataFrame, folds: Sequence[Fold], features: FeatureSpec, *, prepare: Prepare = prepare_fold
) -> list[AuditVerdict]:
    """Return a verdict for each column: whether a fold's prepared rows change with rows that were not known yet.

    `rows` is a frame as `study_frame` returns it. In each fold, the rows after the training rows get other values: no
    bit of the prepared training rows or of the target's scale may change. Then the rows after the middle of the
    validation window get other values: no earlier prepared row may change.
    """
    moved: dict[str, str] = {}
    names: list[str] = [features.only_target]
    for fold in folds:
        prepared = prepare(rows, fold, features)
        names = _names(rows, prepared, features)
        window = fold.validation_stop - fold.validation_start
        # Training rows must not depend on rows after the first cut, and no row on later rows after the second.
        for cut in (fold.train_stop, fold.validation_start + (window + 1) // 2):
            if cut >= fold.validation_stop:
                continue
            n_known = cut - fold.train_start
            try:
                other = prepare(with_other_values(rows, cut, seed=fold.number), fold, features)
            except FitError:
                # The replaced values overflow float32: only because the later rows are prepared too, which is allowed.
                continue
            before, after = _values(prepared)[:n_known], _values(other)[:n_known]
            if before.shape != after.shape:
                moved.setdefault("", f"fold {fold.number}: the prepared columns are others when later rows change")
                continue
            for position, name in enumerate(names):
                differ = np.flatnonzero(~_same(before[:, position], after[:, position]))
                if len(differ):
                    moved.setdefault(
                        name,
                        f"fold {fold.number}: {len(differ)} of {n_known} prepared rows up to "
                        f"{timestamp(rows.index[cut - 1])} change with later rows, first "
                        f"{timestamp(rows.index[fold.train_start + int(differ[0])])}",
                    )
            if prepared.target_scale != other.target_scale:
                moved.setdefault(
                    features.only_target,
                    f"fold {fold.number}: its mean and scale change with rows after {timestamp(rows.index[cut - 1])}",
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
    """Return the names of the prepared columns: those of the rows, unless principal components replace them."""
    columns = [name for names in group_columns(rows.columns, features).values() for name in names]
    known = known_columns(rows.columns, features)
    in_order = [*(name for name in columns if name not in known), *(name for name in columns if name in known)]
    width = _values(prepared).shape[1] - 1
    covariates = in_order if width == len(columns) else [f"covariate {position + 1}" for position in range(width)]
    return [features.only_target, *covariates]


def _values(prepared: PreparedFold) -> Array:
    parts = (prepared.target, prepared.past_covariates, prepared.known)
    return np.hstack([each.values() for each in parts if each is not None])


def _same(before: Array, after: Array) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (before == after) | (np.isnan(before) & np.isnan(after))
    return same


def _filled(name: str, moved: tuple[int, str] | None, n_cuts: int) -> AuditVerdict:
    if moved is None:
        return clean("preparation", name, f"no row before any of {counted(n_cuts, 'moment')} changes with later rows")
    n_rows, where = moved
    return leak(
        "preparation",
        name,
        f"{counted(n_rows, 'row')} of the study change, {where}: missing values are filled from the future",
        "fill with the last known value (`fill` forward), never with a later one",
    )


def _prepared(name: str | None, moved: str | None, n_folds: int) -> AuditVerdict:
    if moved is None:
        message = f"no bit of the known rows changes in {counted(n_folds, 'fold')} when later rows change"
        return clean("preparation", name, message)
    remedy = "fit every scaler only on the training rows, and compute each row only from itself and earlier rows"
    return leak("preparation", name, moved, remedy)
