"""Compares two states of the same rows, column by column."""

import numpy as np
import numpy.typing as npt
import pandas as pd

# Sums in another order differ by rounding: a smaller difference, relative to the value, is no change.
RELATIVE = 1e-9
# Differences of nearly equal numbers leave noise around zero, which is small compared to the column's spread.
_OF_SPREAD = 1e-12


def changes(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, npt.NDArray[np.int64]]:
    """Return the positions of the rows that differ, for each column that both frames have.

    The frames share one index. Two missing values are equal.
    """
    return {name: np.flatnonzero(_differ(before[name], after[name])) for name in before if name in after}


def _differ(before: pd.Series, after: pd.Series) -> npt.NDArray[np.bool_]:
    if before.dtype.kind not in "iufb" or after.dtype.kind not in "iufb":
        missing = (before.isna() & after.isna()).to_numpy(bool)
        unequal: npt.NDArray[np.bool_] = (before.astype(object) != after.astype(object)).to_numpy(bool)
        unequal[missing] = False
        return unequal
    old, new = before.to_numpy(np.float64), after.to_numpy(np.float64)
    finite = old[np.isfinite(old)]
    spread = float(np.ptp(finite)) if len(finite) else 0.0
    with np.errstate(invalid="ignore"):
        tolerance = RELATIVE * np.maximum(np.abs(old), np.abs(new)) + _OF_SPREAD * spread
        close = (np.abs(old - new) <= tolerance) | (old == new)
    both_missing: npt.NDArray[np.bool_] = np.isnan(old) & np.isnan(new)
    differ: npt.NDArray[np.bool_] = ~(close | both_missing)
    return differ
