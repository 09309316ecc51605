"""Forecasts that anyone can make: what a model has to beat."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kallos.baselines.seasons import Season

if TYPE_CHECKING:
    from kallos.baselines.holdout import Holdout

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.int64]


def naive_forecasts(holdout: "Holdout", origins: Origins | None = None) -> dict[str, Array]:
    """Return each naive forecast, of shape (origins, horizon[, targets]), from targets known at its origin alone.

    `zero` and `last` (the last known value); `mean` of what is known at the first origin; `drift`, the line from the
    first row through the last known one; `seasonal`, the known value at the same time one or more whole seasons before
    (`kallos.baselines.seasons`), left out if the frequency has no season or two of them are not known at the first
    origin. The origins are those of the hold-out, or earlier ones: then `seasonal` is NaN where there is no row a
    season before.
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
    season, stamps = Season.of(holdout.frequency), holdout.frame.index
    # Quantiles need past errors, too, of forecasts a season behind the first row.
    known = len(holdout.history) - 1 - (0 if holdout.levels is None else holdout.overlap)
    if season is not None and season.is_known_twice(stamps, known):
        rows = season.rows_before(stamps, origins + ahead, origins)
        forecasts["seasonal"] = np.where(_for_each_target(rows, values) >= 0, values[rows], np.nan)
    return forecasts


def _for_each_target(numbers: Origins, values: Array) -> Origins:
    """Return numbers such that they broadcast over the targets, the last axis of several."""
    return numbers.reshape(*numbers.shape, *(1 for _ in values.shape[1:]))
