"""How far forecasts and actual values move together, whatever their size.

Arrays have the shape (origins, steps, targets) and hold moves, such as returns, or levels less the last known one.
Each step and target is measured over all origins, and the result is the mean over steps and targets.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Values that vary less than this, relative to their size, differ by rounding alone.
_ROUNDING = 1e-12


def information_coefficient(forecast: Array, actual: Array) -> float:
    """Return Pearson's correlation of forecast and actual (Grinold & Kahn, 2000, "Active Portfolio Management").

    It is 0 where one of them is constant: a constant forecast orders nothing.
    """
    return float(_correlations(forecast, actual, varies(forecast) & varies(actual)).mean())


def rank_information_coefficient(forecast: Array, actual: Array) -> float:
    """Return Spearman's rank correlation of forecast and actual, with mean ranks for ties; else as above."""
    from scipy.stats import rankdata

    both_vary = varies(forecast) & varies(actual)
    return float(_correlations(rankdata(forecast, axis=0), rankdata(actual, axis=0), both_vary).mean())


def f1_up(forecast: Array, actual: Array) -> float:
    """Return the F1 score of forecast rises: the harmonic mean of precision and recall (van Rijsbergen, 1979).

    A rise is a move above zero. Steps and targets in which nothing rose, and no rise was forecast, are left out; it is
    no number if there are no others.
    """
    said, came = forecast > 0, actual > 0
    right, wrong = (said & came).sum(axis=0), (said != came).sum(axis=0)
    counted = (right + wrong) > 0
    return float((2 * right[counted] / (2 * right + wrong)[counted]).mean()) if counted.any() else float("nan")


def varies(values: Array) -> npt.NDArray[np.bool_]:
    """Return whether the values of each step and target vary over the origins by more than rounding."""
    differs: npt.NDArray[np.bool_] = np.ptp(values, axis=0) > _ROUNDING * np.abs(values).max(axis=0)
    return differs


def _correlations(forecast: Array, actual: Array, both_vary: npt.NDArray[np.bool_]) -> Array:
    one, other = _standardised(forecast, both_vary), _standardised(actual, both_vary)
    correlations: Array = np.where(both_vary, (one * other).mean(axis=0), 0.0).clip(-1, 1)
    return correlations


def _standardised(values: Array, varying: npt.NDArray[np.bool_]) -> Array:
    # Divided by the range first, since squares of small values would be zero.
    centred = (values - values.mean(axis=0)) / np.where(varying, np.ptp(values, axis=0), 1)
    standardised: Array = centred / np.where(varying, centred.std(axis=0), 1)
    return standardised
