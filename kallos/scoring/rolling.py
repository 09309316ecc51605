"""Forecasts from every origin of a window."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kallos.folds.scalers import PreparedSeries
from kallos.scoring.inputs import Inputs, inputs_of

if TYPE_CHECKING:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


Array = npt.NDArray[np.float64]


def rolling_forecasts(
    model: "GlobalForecastingModel", prepared: PreparedSeries, start: int, horizon: int, stop: int | None = None
) -> Array:
    """Return forecasts from every origin whose whole horizon lies in the rows from `start` to `stop`, or to the end.

    They have the shape (origins, horizon, targets, levels) and are in the targets' own units. The first step of the
    first forecast is row `start`. A model without quantiles has one level.
    """
    return rolling_forecasts_of_each(model, [prepared], start, horizon, stop)[0]


def rolling_forecasts_of_each(
    model: "GlobalForecastingModel",
    prepared: Sequence[PreparedSeries],
    start: int,
    horizon: int,
    stop: int | None = None,
) -> list[Array]:
    """Return `rolling_forecasts` of each of several series with the same columns; together they take less time."""
    inputs = [inputs_of(model, each)[start - rows_before(model) : stop] for each in prepared]
    forecasts = _of_network(model, inputs, horizon) or _by_darts(model, inputs, start, horizon)
    return [_restored(own, series) for own, series in zip(forecasts, prepared, strict=True)]


def _of_network(model: "GlobalForecastingModel", inputs: Sequence[Inputs], horizon: int) -> list[Array] | None:
    """Return a network's forecasts of each series, of shape (origins, steps, components), or None if Darts must."""
    # Only networks have a trainer, and only those that are fitted import torch here.
    if getattr(model, "trainer", None) is None or horizon != model.output_chunk_length:
        return None
    from kallos.scoring.network_forecasts import forecasts_of_windows

    each = [forecasts_of_windows(model, own, quantiles=_has_learnt_quantiles(model)) for own in inputs]
    found = [own for own in each if own is not None]
    return found if len(found) == len(each) else None


def _by_darts(model: "GlobalForecastingModel", inputs: Sequence[Inputs], start: int, horizon: int) -> list[Array]:
    """Return the forecasts of each series in the form of `_of_network`, by `historical_forecasts`."""
    forecasts = model.historical_forecasts(
        [each.target for each in inputs],
        past_covariates=_of_each([each.past for each in inputs]),
        future_covariates=_of_each([each.future for each in inputs]),
        start=start - model.output_chunk_shift,
        forecast_horizon=horizon,
        retrain=False,
        # The last point is the only one of a single step, and Darts joins the points of all origins much faster.
        last_points_only=horizon == 1,
        verbose=False,
        show_warnings=False,
        predict_likelihood_parameters=_has_learnt_quantiles(model),
        predict_kwargs=_forecast_by(model),
    )
    return [_values(own, horizon) for own in forecasts]


def _values(forecasts: "TimeSeries | list[TimeSeries]", horizon: int) -> Array:
    """Return Darts' forecasts of one series as an array of shape (origins, steps, components)."""
    if horizon == 1:
        return np.asarray(forecasts.values(copy=False))[:, None]  # type: ignore[union-attr]
    return np.stack([each.values(copy=False) for each in forecasts])


def _of_each(covariates: "list[TimeSeries | None]") -> "list[TimeSeries] | None":
    """Return the covariates of each series, or None if the series have none."""
    return [each for each in covariates if each is not None] or None


def next_forecast(model: "GlobalForecastingModel", prepared: PreparedSeries, horizon: int) -> Array:
    """Return the forecast after the series' last row, in the form of `rolling_forecasts` with one origin."""
    inputs = inputs_of(model, prepared)
    series = model.predict(
        horizon,
        series=inputs.target,
        past_covariates=inputs.past,
        future_covariates=inputs.future,
        verbose=False,
        predict_likelihood_parameters=_has_learnt_quantiles(model),
        **_forecast_by(model),
    )
    return _restored(series.values(copy=False)[None], prepared)


def _restored(values: Array, prepared: PreparedSeries) -> Array:
    """Return Darts' forecasts, of shape (origins, steps, components), in the form of `rolling_forecasts`."""
    # Darts puts the quantiles of each target side by side.
    by_level = np.moveaxis(values.reshape(*values.shape[:2], prepared.target.width, -1), 2, -1)
    restored: Array = np.moveaxis(prepared.target_scale.restore(by_level), -1, 2)
    return restored


def look_back(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast looks back on, up to and including the origin."""
    # Darts' furthest lag is negative.
    return -int(model.extreme_lags[0])


def rows_before(model: "GlobalForecastingModel") -> int:
    """Return how many rows a forecast needs before its first step, including purged rows that it does not see."""
    return look_back(model) + int(model.output_chunk_shift)


def _forecast_by(model: "GlobalForecastingModel") -> "dict[str, Any]":
    """Return Darts' argument for what forecasts with a network, none for other models."""
    trainer = getattr(model, "trainer", None)
    return {} if trainer is None else {"trainer": trainer}


def _has_learnt_quantiles(model: "GlobalForecastingModel") -> bool:
    return hasattr(getattr(model, "likelihood", None), "quantiles")
