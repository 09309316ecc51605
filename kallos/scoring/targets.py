"""What is scored: the targets of a fold's window, and what errors are counted in."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.folds.grid import Fold
from kallos.specs.data import FeatureSpec

Array = npt.NDArray[np.float64]


def error_unit(frame: pd.DataFrame, fold: Fold, features: FeatureSpec, *, is_alone: bool = True) -> Array:
    """Return what errors are counted in: of one target 1, its own units; of several, each one's standard deviation.

    So it is for a target of an asset that is not alone. That is over the fold's training rows, and of shape (targets,),
    of one target (). Raises `DataError` for a target that is constant over them.
    """
    if len(features.targets) == 1 and is_alone:
        return np.ones(())
    rows = frame.iloc[fold.train_start : fold.train_stop]
    constant = [name for name in features.targets if not np.ptp(rows[name]) > 0]
    if constant:
        raise DataError(
            f"a target must vary over the training rows of each fold, and {constant[0]!r} is constant in fold "
            f"{fold.number}: take it out, or begin at other dates"
        )
    return np.asarray(targets_of(rows, features).std(axis=0))


def actual_targets(frame: pd.DataFrame, fold: Fold, features: FeatureSpec, horizon: int) -> Array:
    """Return the targets that are scored, of shape (origins, horizon), or (origins, horizon, targets) of several."""
    window = targets_of(frame.iloc[fold.validation_start : fold.validation_stop], features)
    actual: Array = np.moveaxis(np.lib.stride_tricks.sliding_window_view(window, horizon, axis=0), -1, 1)
    return actual


def targets_of(frame: pd.DataFrame, features: FeatureSpec) -> Array:
    """Return the target, of shape (rows,), or several, of shape (rows, targets)."""
    targets: Array = frame[list(features.targets)].to_numpy(np.float64)
    return targets[:, 0] if len(features.targets) == 1 else targets
