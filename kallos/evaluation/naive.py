"""Forecasts that anyone can make: what a model has to beat."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.frequency import ROWS, SESSIONS

if TYPE_CHECKING:
    from kallos.evaluation.holdout import Holdout

Array = npt.NDArray[np.float64]

_DAY, _WEEK, _YEAR = pd.Timedelta(days=1), pd.Timedelta(days=7), pd.Timedelta(days=365.25)


def naive_forecasts(holdout: "Holdout") -> dict[str, Array]:
    """Return each naive forecast, of shape (origins, horizon), from targets known at its origin alone.

    `zero` and `last` (the last known value); `mean` of what is known at the first origin; `drift`, the line from the
    first row through the last known one; `seasonal`, the last known value one or more whole periods before, left out
    if the frequency has no period or two of them are not known at the first origin.
    """
    values, origins = holdout.values, holdout.origins[:, None]
    last = values[origins]
    ahead = holdout.lead + np.arange(holdout.horizon)
    shape = holdout.actual.shape
    slope = (last - values[0]) / np.maximum(origins, 1)
    forecasts = {
        "zero": np.zeros(shape),
        "last": np.broadcast_to(last, shape),
        "drift": last + slope * ahead,
        "mean": np.full(shape, holdout.history.mean()),
    }
    period = season(holdout.frequency)
    if period is not None and len(holdout.history) >= 2 * period:
        # Whole periods back from the forecast row, and no later than the origin.
        forecasts["seasonal"] = values[origins + ahead - period * -(-ahead // period)]
    return forecasts


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
