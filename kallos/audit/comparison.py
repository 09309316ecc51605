"""Two states of the same rows, compared column by column."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

# Sums in another order differ by rounding: less than this, relative to the value, is no change.
RELATIVE = 1e-9
# Differences of near-equal numbers leave noise around zero, small against the column as a whole.
_OF_SPREAD = 1e-12


@dataclass(frozen=True)
class ChangedRows:
    """The rows of a column that differ between two states, as positions."""

    rows: npt.NDArray[np.int64]

    @property
    def first(self) -> int:
        """The first row that differs."""
        return int(self.rows[0])


def changes(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, ChangedRows]:
    """Return what differs in each column that both have; the frames share one index. Two missing values are equal."""
    return {name: ChangedRows(np.flatnonzero(_differ(before[name], after[name]))) for name in before if name in after}


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
