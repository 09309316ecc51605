"""Other values for rows that were not known yet."""

import numpy as np
import pandas as pd


def with_other_values(frame: pd.DataFrame, first_row: int, *, seed: int = 0) -> pd.DataFrame:
    """Return a copy in which all values from row `first_row` on are others.

    Each is a value of its column from a random row, stretched by up to five times, so that it stays finite and keeps
    its sign, and goes beyond what the column has seen; a zero becomes a small number. Missing values are replaced
    too, and so tell a fill that reads them.
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
