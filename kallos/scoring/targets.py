"""The targets that are scored, and the unit of their errors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.folds.cut import Fold
from kallos.specs.data import FeatureSpec
from kallos.words import day, shorten

Array = npt.NDArray[np.float64]


def error_unit(frame: pd.DataFrame, fold: Fold, features: FeatureSpec, *, in_own_units: bool) -> Array:
    """Return the unit of errors, of shape (targets,): ones, or standard deviations over the fold's training rows.

    Raises `DataError` if a target is constant over the training rows and standard deviations are needed.
    """
    if in_own_units:
        return np.ones(len(features.targets))
    rows = frame.iloc[fold.train_start : fold.train_stop]
    constant = [name for name in features.targets if not np.ptp(rows[name]) > 0]
    if constant:
        raise DataError(
            f"a target must vary over the training rows of each fold, and {constant[0]!r} is constant in fold "
            f"{fold.number}: remove it, or choose other dates"
        )
    unit: Array = targets_of(rows, features).std(axis=0)
    return unit


def mean_change(rows: Array) -> Array:
    """Return the mean absolute change from row to row of each target, by which MASE is scaled; `nan` for one row."""
    return np.abs(np.diff(rows, axis=0)).mean(axis=0) if len(rows) > 1 else np.full(rows.shape[1], np.nan)


def behaves_like_a_level(rows: Array) -> npt.NDArray[np.bool_]:
    """Return of each target whether its last value forecasts it better than zero does, in these rows."""
    if len(rows) < 2:
        return np.zeros(rows.shape[1], dtype=np.bool_)
    smaller: npt.NDArray[np.bool_] = np.square(np.diff(rows, axis=0)).mean(axis=0) < np.square(rows[1:]).mean(axis=0)
    return smaller


def reference_at(rows: Array, origins: npt.NDArray[np.int64]) -> Array:
    """Return what the moves of each target are counted from, of shape (origins, targets), from its values in all rows.

    It is the last known value of a level, and zero for anything like a return, as far as is known at the first origin.
    """
    return np.where(behaves_like_a_level(rows[: origins[0] + 1]), rows[origins], 0.0)


def refuse_not_positive(frame: pd.DataFrame, targets: Sequence[str], what: str, remedy: str) -> None:
    """Raise `DataError` if a target is zero or negative in these rows; `what` needs positive ones."""
    for name in targets:
        timestamps = frame.index[frame[name].to_numpy() <= 0]
        if len(timestamps):
            rows = shorten([day(each) for each in timestamps], 3)
            raise DataError(f"{what} needs a target that is positive, and {name!r} is not at {rows}", remedy)


def windows_of(values: Array, horizon: int) -> Array:
    """Return the values of each whole horizon, of shape (origins, horizon, targets), from those of (rows, targets)."""
    windows: Array = np.moveaxis(np.lib.stride_tricks.sliding_window_view(values, horizon, axis=0), -1, 1)
    return windows


def targets_of(frame: pd.DataFrame, features: FeatureSpec) -> Array:
    """Return the targets, of shape (rows, targets)."""
    targets: Array = frame[list(features.targets)].to_numpy(np.float64)
    return targets
