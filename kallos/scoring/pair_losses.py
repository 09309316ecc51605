"""The loss of each single forecast. All arrays have the shape (origins, steps, targets), quantiles a fourth axis.

The pinball loss of a forecast q of quantile p is max(p (y - q), (p - 1) (y - q)) (Koenker and Bassett, 1978,
"Regression quantiles"). The CRPS is the integral of twice that over all p (Gneiting and Ranjan, 2011, "Comparing
density forecasts using threshold- and quantile-weighted scoring rules"), approximated by twice the mean over the given
quantiles.

QLIKE is x - log(x) - 1, where x is the ratio of the actual variance to its forecast. Its expectation is least at the
true variance, even if the actual values are noisy measurements of it (Patton, 2011, "Volatility forecast comparison
using imperfect volatility proxies"). The ratio of a target that is not a variance is squared. The loss has no unit, and
is infinite if a forecast is not positive.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def pinball_losses(quantiles: Array, levels: Sequence[float], actual: Array) -> Array:
    """Return the loss of each quantile, in the quantiles' shape."""
    share = np.array(levels)
    above = actual[..., None] - quantiles
    losses: Array = np.maximum(share * above, (share - 1) * above)
    return losses


def qlike_losses(forecast: Array, actual: Array, powers: Sequence[int]) -> Array:
    """Return the loss of each forecast, infinite if it is not positive; `powers` makes a variance of each target."""
    with np.errstate(divide="ignore", over="ignore"):
        excess = (actual / np.maximum(forecast, 0)) ** np.asarray(powers) - 1
    # x - log(x) - 1, in a form that rounding does not make negative.
    losses: Array = np.where(np.isinf(excess), np.inf, excess - np.log1p(np.where(np.isinf(excess), 0, excess)))
    return losses


def scaled_errors(forecast: Array, actual: Array, change: Array | float) -> Array:
    """Return the absolute errors divided by the mean absolute change of one row, of shape (targets,).

    Their mean is the MASE of Hyndman & Koehler (2006), "Another look at measures of forecast accuracy", in the
    non-seasonal form. They are not numbers where nothing changes.
    """
    return np.abs(forecast - actual) / np.where(np.asarray(change) > 0, change, np.nan)


def symmetric_errors(forecast: Array, actual: Array) -> Array:
    """Return 2 |y - f| / (|y| + |f|), from 0 to 2, and 0 if both are zero.

    Their mean is the sMAPE of Makridakis & Hibon (2000), "The M3-Competition", as a share, with absolute values in the
    denominator, as Hyndman & Koehler (2006) write it.
    """
    size = np.abs(actual) + np.abs(forecast)
    errors: Array = 2 * np.abs(actual - forecast) / np.where(size > 0, size, 1)
    return errors


def wrong_signs(forecast: Array, actual: Array) -> Array:
    """Return 1 where the signs differ, 0 where they agree, and a half where one of them is exactly zero.

    So whoever says nothing is as good as a coin, as for ties in the area under a ROC curve (Hanley & McNeil, 1982, "The
    meaning and use of the area under a receiver operating characteristic curve"). Where zeros were left out, a
    forecaster would gain by a single forecast that is sure to be right.
    """
    wrong: Array = (1 - np.sign(forecast) * np.sign(actual)) / 2
    return wrong
