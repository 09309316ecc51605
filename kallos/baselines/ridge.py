"""Ridge regression on lags, a fast linear baseline on the same columns."""

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from kallos.baselines.window import Origins, Window

Array = npt.NDArray[np.float64]

LAGS = 24
# More regressors would be slow, and more lags than a tenth of the samples mean little.
_MOST_REGRESSORS = 500
_SAMPLES_PER_LAG = 10
_STRENGTHS = np.logspace(-2, 7, 10)


def ridge(window: Window, origins: Origins) -> Array:
    """Return forecasts by ridge regressions on lags of all columns, of shape (origins, horizon, targets).

    They are fitted once, on the rows known at the window's first origin, with standardised lags and the strength of the
    lowest leave-one-out error for each step. Origins of these rows have the leave-one-out forecasts. Deterministic. NaN
    if there are fewer rows than lags.
    """
    from sklearn.preprocessing import StandardScaler

    n_lags = lags_of(window.known, window.frame.shape[1])
    first, stop = n_lags - 1, window.known - window.overlap
    shape = (len(origins), *window.actual.shape[1:])
    if stop - first < 2:
        return np.broadcast_to(window.history.mean(axis=0), shape)
    table = window.frame.to_numpy(np.float64)
    samples = np.arange(first, stop)
    wanted = window.following(samples).reshape(len(samples), -1)
    # The bits of a matrix product depend on the number of threads.
    with threadpool_limits(1):
        scaler = StandardScaler().fit(_lags(table, samples, n_lags))
        coefficients, left_out = _fit(scaler.transform(_lags(table, samples, n_lags)), wanted)
        forecast: Array = scaler.transform(_lags(table, origins, n_lags)) @ coefficients + wanted.mean(axis=0)
    is_sample = (origins >= first) & (origins < stop)
    forecast[is_sample] = left_out[origins[is_sample] - first]
    forecast[origins < first] = np.nan
    return forecast.reshape(shape)


def lags_of(known: int, n_columns: int) -> int:
    """Return the number of lags of each column."""
    return max(1, min(LAGS, _MOST_REGRESSORS // n_columns, known // _SAMPLES_PER_LAG))


def _fit(regressors: Array, wanted: Array) -> tuple[Array, Array]:
    """Return the coefficients, of shape (regressors, outputs), and the leave-one-out forecasts of the samples.

    Without a sample, its residual is the residual with it, divided by one less its leverage, for any strength (Golub,
    Heath & Wahba, 1979, "Generalized cross-validation as a method for choosing a good ridge parameter"). One
    decomposition serves all strengths; scikit-learn's `RidgeCV` gives the same, but takes ten times as long.
    """
    centred = wanted - wanted.mean(axis=0)
    eigenvalues, directions = np.linalg.eigh(regressors.T @ regressors)
    rotated = regressors @ directions
    shrunk = 1 / (np.maximum(eigenvalues, 0)[:, None] + _STRENGTHS)
    kept = 1 - 1 / len(wanted) - np.square(rotated) @ shrunk
    projected = rotated.T @ centred
    residuals = np.stack(
        [
            (centred - rotated @ (shrunk[:, [i]] * projected)) / np.maximum(kept[:, [i]], np.finfo(float).eps)
            for i in range(len(_STRENGTHS))
        ]
    )
    best = np.square(residuals).mean(axis=1).argmin(axis=0)
    outputs = np.arange(wanted.shape[1])
    return directions @ (shrunk[:, best] * projected), wanted - residuals[best, :, outputs].T


def _lags(table: Array, origins: Origins, n_lags: int) -> Array:
    rows: Array = table[origins[:, None] - np.arange(n_lags)]
    return rows.reshape(len(origins), -1)
