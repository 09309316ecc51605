"""Forecasts from every origin of a window."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kallos.folds.scalers import PreparedSeries

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


Array = npt.NDArray[np.float64]


def rolling_forecasts(model: "GlobalForecastingModel", prepared: PreparedSeries, start: int, horizon: int) -> Array:
    """Return forecasts from every origin whose whole horizon lies in the rows from `start` to the series' end.

    They are in the target's own units, of shape (origins, horizon, targets, levels): the first one's first step is row
    `start`. A model that has learnt no quantiles has one level.
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
        predict_likelihood_parameters=_has_learnt_quantiles(model),
    )
    return _restored(np.stack([each.values(copy=False) for each in series]), prepared)


def next_forecast(model: "GlobalForecastingModel", prepared: PreparedSeries, horizon: int) -> Array:
    """Return the forecast behind the series' last row, as `rolling_forecasts` does from that one origin."""
    series = model.predict(
        horizon,
        series=prepared.target,
        past_covariates=prepared.past_covariates,
        verbose=False,
        predict_likelihood_parameters=_has_learnt_quantiles(model),
    )
    return _restored(series.values(copy=False)[None], prepared)


def _restored(values: Array, prepared: PreparedSeries) -> Array:
    """Return what Darts forecasts, of shape (origins, steps, components), as `rolling_forecasts` does."""
    # Of each target, Darts has its quantiles side by side.
    by_level = np.moveaxis(values.reshape(*values.shape[:2], prepared.target.width, -1), 2, -1)
    restored: Array = np.moveaxis(prepared.target_scale.restore(by_level), -1, 2)
    return restored


def look_back(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast looks back on, the origin's the last of them."""
    # The furthest lag of Darts' own, below zero.
    return -int(model.extreme_lags[0])


def rows_before(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast needs before its first step, the purged ones that it does not see among them."""
    return look_back(model) + int(model.output_chunk_shift)


def _has_learnt_quantiles(model: "GlobalForecastingModel") -> bool:
    return hasattr(getattr(model, "likelihood", None), "quantiles")
