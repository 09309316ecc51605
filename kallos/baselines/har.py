"""The heterogeneous autoregression of Corsi (2009), "A simple approximate long-memory model of realized volatility"."""

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from kallos.architectures.lagged import WINDOWS
from kallos.baselines.window import Origins, Window

Array = npt.NDArray[np.float64]

_LONGEST, _COEFFICIENTS = max(WINDOWS), len(WINDOWS) + 1


def har(window: Window, origins: Origins) -> Array | None:
    """Return forecasts of shape (origins, horizon, targets), each step by a regression of its own.

    The regressors are an intercept and the means of the target's last 1, 5 and 22 values. Least squares on the rows
    known at the window's first origin. NaN if there are fewer rows than the longest mean needs; None if the fit has no
    more rows than coefficients.
    """
    samples = np.arange(_LONGEST - 1, window.known - window.overlap)
    if len(samples) <= _COEFFICIENTS:
        return None
    following, forecast = window.following(samples), []
    # The bits of a matrix product depend on the number of threads.
    with threadpool_limits(1):
        for target in range(len(window.targets)):
            design = _design(window.values[:, target])
            coefficients = np.linalg.lstsq(design[samples], following[:, :, target], rcond=None)[0]
            forecast.append(design[origins] @ coefficients)
    return np.stack(forecast, axis=2)


def _design(values: Array) -> Array:
    """Return the regressors of each row, of shape (rows, 4), NaN in rows with too few before them."""
    means = np.full((len(values), len(WINDOWS)), np.nan)
    for position, length in enumerate(WINDOWS):
        means[length - 1 :, position] = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)
    return np.column_stack([np.ones(len(values)), means])
