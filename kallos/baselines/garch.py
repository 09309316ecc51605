"""Volatilities by GARCH(1,1) (Bollerslev, 1986, "Generalized autoregressive conditional heteroskedasticity")."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.baselines.simple import values_of
from kallos.baselines.window import Origins, Window
from kallos.errors import DataError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Variances:
    """The variance of each row, known one row before it; the last one is of the row after all rows."""

    of_rows: Array
    omega: float
    persistence: float

    def ahead(self, origins: Origins, steps: Origins) -> Array:
        """Return the forecasts of the rows so many steps after each origin, of shape (origins, steps)."""
        decay = self.persistence ** (steps - 1)
        # The sum of the powers of the persistence below step - 1.
        rest = np.array([np.power(self.persistence, np.arange(step - 1)).sum() for step in steps])
        forecast: Array = self.of_rows[origins + 1][:, None] * decay + self.omega * rest
        return forecast


def garch(window: Window, origins: Origins, *, name: str, in_logarithms: bool) -> Array:
    """Return forecasts of volatilities or variances by a GARCH of the returns in column `name`.

    The shape is (origins, horizon, targets). The parameters are fitted by maximum likelihood, with a constant mean and
    normal errors, on the returns known at the window's first origin. The variances of later rows follow from them. A
    target that is no variance is forecast by the root. Each is scaled by the ratio of its mean to that of these
    variances (or roots) over the known rows; in logarithms, which the window then holds, by the difference of their
    means. Raises `UsageError` if there is no such column, and `DataError` if the known returns are not of both signs or
    a known target is negative.
    """
    returns = values_of(window, name)
    known_returns = returns[: window.known]
    if not known_returns.min() < 0 < known_returns.max():
        raise DataError(
            f"baseline 'garch:{name}' needs returns, which are of both signs, and {name!r} is not in the training rows",
            "name the column of the returns",
        )
    negative = [target for target, least in zip(window.targets, window.history.min(axis=0), strict=True) if least < 0]
    if negative and not in_logarithms:
        raise DataError(
            f"baseline 'garch:{name}' forecasts a volatility or variance, and {negative[0]!r} has negative values",
            f"remove 'garch:{name}' from 'baselines'",
        )
    variances = _variances(returns, window.known)
    ahead = variances.ahead(origins, window.lead + np.arange(window.horizon))
    roots = 1 / np.array(window.spec.features.variance_powers)
    known = variances.of_rows[: window.known, None] ** roots
    volatilities = ahead[..., None] ** roots
    if in_logarithms:
        in_logs: Array = window.history.mean(axis=0) - np.log(known).mean(axis=0) + np.log(volatilities)
        return in_logs
    forecast: Array = window.history.mean(axis=0) / known.mean(axis=0) * volatilities
    return forecast


def _variances(returns: Array, known: int) -> _Variances:
    """Return the variances of returns in units of their variance, with parameters fitted on the known ones."""
    from arch import arch_model
    from scipy.signal import lfilter

    scaled = returns / returns[:known].std()
    model = arch_model(scaled[:known], mean="Constant", vol="GARCH", p=1, q=1, dist="normal", rescale=False)
    fitted = model.fit(disp="off", show_warning=False)
    mean, omega, alpha, beta = fitted.params
    first = float(fitted.conditional_volatility[0] ** 2)
    # variance[t + 1] = omega + alpha * residual[t]^2 + beta * variance[t]
    news = omega + alpha * np.square(scaled - mean)
    later, _ = lfilter([1.0], [1.0, -beta], news, zi=[beta * first])
    return _Variances(np.concatenate([[first], later]), float(omega), float(alpha + beta))
