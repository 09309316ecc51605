"""Forecasts that anyone can make: each from targets that are known at its origin alone.

All return forecasts of shape (origins, horizon, targets), in the window's units. The origins are those of the window,
or earlier ones.
"""

import numpy as np
import numpy.typing as npt

from kallos.baselines.seasonal import Season
from kallos.baselines.window import Origins, Window

Array = npt.NDArray[np.float64]


def zero(window: Window, origins: Origins) -> Array:
    """Return nothing but zeros."""
    return np.zeros(_shape(window, origins))


def last(window: Window, origins: Origins) -> Array:
    """Return the last known value."""
    return np.broadcast_to(window.values[origins][:, None], _shape(window, origins))


def mean(window: Window, origins: Origins) -> Array:
    """Return the mean of what is known at the window's first origin."""
    return np.broadcast_to(window.history.mean(axis=0), _shape(window, origins))


def drift(window: Window, origins: Origins) -> Array:
    """Return the line from the first row through the last known one."""
    values = window.values
    slope = (values[origins] - values[0]) / np.maximum(origins, 1)[:, None]
    forecast: Array = values[origins][:, None] + slope[:, None] * _ahead(window)[:, None]
    return forecast


def seasonal(window: Window, origins: Origins) -> Array | None:
    """Return the known value at the same time one or more whole seasons before, NaN where no row lies so far back.

    None if the frequency has no season, or two of them are not known at the first origin.
    """
    season, timestamps = Season.of(window.frequency), window.frame.index
    # Quantiles need past errors, too, of forecasts a season behind the first row.
    known = len(window.history) - 1 - (window.overlap if len(window.spec.levels) > 1 else 0)
    if season is None or not season.is_known_twice(timestamps, known):
        return None
    rows = season.rows_before(timestamps, origins[:, None] + _ahead(window), origins[:, None])
    return np.where(rows[..., None] >= 0, window.values[rows], np.nan)


def _ahead(window: Window) -> Origins:
    """Return how many rows lie between an origin and each step."""
    return window.lead + np.arange(window.horizon)


def _shape(window: Window, origins: Origins) -> tuple[int, int, int]:
    return len(origins), window.horizon, len(window.targets)
