"""Forecasts that anyone can make: what a model has to beat."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.frequency import ROWS, SESSIONS

if TYPE_CHECKING:
    from kallos.evaluation.holdout import Holdout

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.int64]

_DAY, _WEEK, _YEAR = pd.Timedelta(days=1), pd.Timedelta(days=7), pd.Timedelta(days=365.25)


def naive_forecasts(holdout: "Holdout", origins: Origins | None = None) -> dict[str, Array]:
    """Return each naive forecast, of shape (origins, horizon[, targets]), from targets known at its origin alone.

    `zero` and `last` (the last known value); `mean` of what is known at the first origin; `drift`, the line from the
    first row through the last known one; `seasonal`, the last known value one or more whole periods before, left out
    if the frequency has no period or two of them are not known at the first origin. The origins are those of the
    hold-out, or earlier ones: then `seasonal` is NaN where there is no row a period before.
    """
    values, origins = holdout.values, (holdout.origins if origins is None else origins)[:, None]
    last = values[origins]
    ahead = holdout.lead + np.arange(holdout.horizon)
    shape = (len(origins), holdout.horizon, *values.shape[1:])
    slope = (last - values[0]) / _for_each_target(np.maximum(origins, 1), values)
    forecasts: dict[str, Array] = {
        "zero": np.zeros(shape),
        "last": np.broadcast_to(last, shape),
        "drift": last + slope * _for_each_target(ahead, values),
        "mean": np.broadcast_to(holdout.history.mean(axis=0), shape),
    }
    period = season(holdout.frequency)
    # Quantiles need past errors, too, of forecasts a period behind the first row.
    needed = 0 if period is None else 2 * period + (0 if holdout.levels is None else holdout.overlap)
    if period is not None and len(holdout.history) >= needed:
        # Whole periods back from the forecast row, and no later than the origin.
        rows = origins + ahead - period * -(-ahead // period)
        forecasts["seasonal"] = np.where(_for_each_target(rows, values) >= 0, values[rows], np.nan)
    return forecasts


def _for_each_target(numbers: Origins, values: Array) -> Origins:
    """Return numbers such that they broadcast over the targets, the last axis of several."""
    return numbers.reshape(*numbers.shape, *(1 for _ in values.shape[1:]))


def season(frequency: str) -> int | None:
    """Return after how many rows values of this frequency may repeat themselves, or None if nothing suggests any.

    A day of what is more frequent than daily, a week of days (5 sessions), a year of what is less frequent.
    """
    if frequency == ROWS:
        return None
    if frequency in (SESSIONS, "B"):
        return 5
    # Months and quarters are of unlike lengths: the mean of twelve steps.
    first, *_, last = pd.date_range("2001-01-01", periods=13, freq=frequency)
    step = (last - first) / 12
    whole = _DAY if step < _DAY else _WEEK if step < _WEEK else _YEAR
    period = round(whole / step)
    return period if period > 1 else None
