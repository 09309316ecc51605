"""The forecasts without a fit, made only from values that are known at the origin.

All have the shape (origins, horizon, targets) and are in the window's units. The origins are the window's or earlier.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.baselines.seasonal import Season
from kallos.baselines.window import Origins, Window
from kallos.errors import UsageError
from kallos.words import did_you_mean

Array = npt.NDArray[np.float64]

# The weight of the past in RiskMetrics' daily variance (J.P. Morgan, 1996, "RiskMetrics technical document").
_DECAY = 0.94


def zero(window: Window, origins: Origins) -> Array:
    """Return zeros."""
    return np.zeros(_shape(window, origins))


def last(window: Window, origins: Origins) -> Array:
    """Return the last known value."""
    return np.broadcast_to(window.values[origins][:, None], _shape(window, origins))


def mean(window: Window, origins: Origins) -> Array:
    """Return the mean of the targets known at the window's first origin."""
    return np.broadcast_to(window.history.mean(axis=0), _shape(window, origins))


def drift(window: Window, origins: Origins) -> Array:
    """Return the line through the first and the last known value."""
    values = window.values
    slope = (values[origins] - values[0]) / np.maximum(origins, 1)[:, None]
    forecast: Array = values[origins][:, None] + slope[:, None] * _ahead(window)[:, None]
    return forecast


def seasonal(window: Window, origins: Origins) -> Array | None:
    """Return the last known value a whole number of seasons earlier, NaN if no row lies so far back.

    None if the frequency has no season, or if the first origin does not know two of them.
    """
    season, timestamps = Season.of(window.frequency), window.frame.index
    # Quantiles also need past errors, of forecasts from a season after the first row.
    known = len(window.history) - 1 - (window.overlap if len(window.spec.levels) > 1 else 0)
    if season is None or not season.is_known_twice(timestamps, known):
        return None
    rows = season.rows_before(timestamps, origins[:, None] + _ahead(window), origins[:, None])
    return np.where(rows[..., None] >= 0, window.values[rows], np.nan)


def ewma(window: Window, origins: Origins) -> Array:
    """Return the exponentially weighted mean of all known values, from the first one on, with a decay of 0.94."""
    weighted = pd.DataFrame(window.values).ewm(alpha=1 - _DECAY, adjust=False).mean().to_numpy()
    return np.broadcast_to(weighted[origins][:, None], _shape(window, origins))


def column(window: Window, origins: Origins, *, name: str) -> Array:
    """Return a column's value at the origin, in the targets' own units; raises as `values_of`."""
    values = values_of(window, name)[origins][:, None, None] / window.unit
    return np.broadcast_to(values, _shape(window, origins))


def values_of(window: Window, name: str) -> Array:
    """Return a column that a baseline reads, of shape (rows,); raises `UsageError` if the study has none of it."""
    if name not in window.frame:
        raise UsageError(f"{no_such_column(name)}: {did_you_mean(name, map(str, window.frame.columns))}")
    values: Array = window.frame[name].to_numpy(np.float64)
    return values


def no_such_column(name: str) -> str:
    """Return the rule that a baseline breaks whose column the study lacks."""
    return f"a baseline's column must be one of the study's columns, and {name!r} is not"


def _ahead(window: Window) -> Origins:
    return window.lead + np.arange(window.horizon)


def _shape(window: Window, origins: Origins) -> tuple[int, int, int]:
    return len(origins), window.horizon, len(window.targets)
