"""Forecasts from every origin of a window."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kallos.folds.scalers import PreparedSeries

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


Array = npt.NDArray[np.float64]


def rolling_forecasts(
    model: "GlobalForecastingModel",
    prepared: PreparedSeries,
    start: int,
    horizon: int,
    quantiles: tuple[float, ...] | None = None,
) -> Array:
    """Return forecasts from every origin whose whole horizon lies in the rows from `start` to the series' end.

    They are in the target's own units, of shape (origins, horizon): the first one's first step is row `start`. Several
    targets have an axis more, and so have the `quantiles` of a model that has learnt these, the last one.
    """
    first_row = start - rows_before(model)
    series = model.historical_forecasts(
        prepared.target[first_row:],
        past_covariates=None if prepared.past_covariates is None else prepared.past_covariates[first_row:],
        start=start - model.output_chunk_shift,
        forecast_horizon=horizon,
        retrain=False,
        last_points_only=False,
        verbose=False,
        show_warnings=False,
        predict_likelihood_parameters=quantiles is not None,
    )
    return in_own_units(np.stack([each.values(copy=False) for each in series]), prepared, quantiles)


def in_own_units(values: Array, prepared: PreparedSeries, quantiles: tuple[float, ...] | None) -> Array:
    """Return what Darts forecasts, of shape (origins, steps, components), as `rolling_forecasts` does."""
    # Of each target, Darts has its quantiles side by side.
    n_targets, n_levels = prepared.target.width, len(quantiles or [None])
    by_level = np.moveaxis(values.reshape(*values.shape[:2], n_targets, n_levels), 2, -1)
    restored: Array = np.moveaxis(prepared.target_scale.restore(by_level), -1, 2)
    restored = restored if quantiles is not None else restored[..., 0]
    return restored[:, :, 0] if n_targets == 1 else restored


def look_back(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast looks back on, the origin's the last of them."""
    # The furthest lag of Darts' own, below zero.
    return -int(model.extreme_lags[0])


def rows_before(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast needs before its first step, the purged ones that it does not see among them."""
    return look_back(model) + int(model.output_chunk_shift)
