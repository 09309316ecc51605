"""Replaces the values of rows that were not known yet."""

import numpy as np
import pandas as pd


def with_other_values(frame: pd.DataFrame, first_row: int, *, seed: int = 0) -> pd.DataFrame:
    """Return a copy with other values from row `first_row` on.

    Each new value is one of the column from a random row, multiplied by 1.5 to 5, so it is finite, keeps its sign and
    may exceed the column's range. A zero becomes a small number. Missing values are replaced too, which exposes a fill
    that reads them.
    """
    rng = np.random.default_rng(seed)
    changed = frame.copy()
    n_rows = len(frame) - first_row
    for position, name in enumerate(frame.columns):
        known = frame[name].to_numpy(np.float64)
        known = known[np.isfinite(known)]
        if not len(known) or n_rows <= 0:
            continue
        spread = float(np.abs(known).mean()) or 1.0
        other = rng.choice(known, n_rows) * rng.uniform(1.5, 5.0, n_rows)
        other = np.where(other == 0, rng.uniform(0.1, 1.0, n_rows) * spread, other)
        changed.isetitem(position, np.r_[frame[name].to_numpy(np.float64)[:first_row], other])
    return changed
