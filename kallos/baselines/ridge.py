"""Ridge regression on lags, a fast linear baseline on the same columns."""

import numpy as np
import numpy.typing as npt

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
    lowest leave-one-out error for each step. Deterministic. NaN if there are fewer rows than lags.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    known = window.origins[0] + 1
    n_lags = lags_of(known, window.frame.shape[1])
    first, stop = n_lags - 1, known - window.overlap
    shape = (len(origins), *window.actual.shape[1:])
    if stop - first < 2:
        return np.broadcast_to(window.history.mean(axis=0), shape)
    table = window.frame.to_numpy(np.float64)
    samples = np.arange(first, stop)
    wanted = window.values[samples[:, None] + window.lead + np.arange(window.horizon)].reshape(len(samples), -1)
    model = make_pipeline(StandardScaler(), RidgeCV(_STRENGTHS, alpha_per_target=wanted.shape[1] > 1))
    # The bits of a matrix product depend on the number of threads.
    with threadpool_limits(1):
        model.fit(_lags(table, samples, n_lags), wanted)
        forecast: Array = model.predict(_lags(table, origins, n_lags)).reshape(shape)
    forecast[origins < first] = np.nan
    return forecast


def lags_of(known: int, n_columns: int) -> int:
    """Return the number of lags of each column."""
    return max(1, min(LAGS, _MOST_REGRESSORS // n_columns, known // _SAMPLES_PER_LAG))


def _lags(table: Array, origins: Origins, n_lags: int) -> Array:
    rows: Array = table[origins[:, None] - np.arange(n_lags)]
    return rows.reshape(len(origins), -1)
