"""What every model is held against: naive forecasts and a ridge regression, with quantiles of their own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kallos.baselines.naive import naive_forecasts
from kallos.baselines.ridge import ridge_forecast
from kallos.scoring.losses import Loss
from kallos.scoring.metrics import Forecast

if TYPE_CHECKING:
    from kallos.baselines.holdout import Holdout

Array = npt.NDArray[np.float64]

RIDGE = "ridge"


def yardsticks(holdout: "Holdout") -> dict[str, Forecast]:
    """Return each naive forecast, and that of ridge, in the hold-out's units.

    Where the model forecasts quantiles, theirs are those of their own errors on the rows known at the first origin, for
    each step ahead, added to the forecast: as a study's naive forecasts have them (`kallos.baselines.scores`).
    """
    past = holdout.past_origins if holdout.levels is not None else np.arange(0)
    origins = np.concatenate([past, holdout.origins])
    points = {**naive_forecasts(holdout, origins), RIDGE: ridge_forecast(holdout, origins)}
    if holdout.levels is None:
        return {name: Forecast(point) for name, point in points.items()}
    came = holdout.values[past[:, None] + holdout.lead + np.arange(holdout.horizon)]
    return {
        name: _with_quantiles(point[len(past) :], came - point[: len(past)], holdout.levels)
        for name, point in points.items()
    }


def rules_by_target(naive: Mapping[str, Forecast], actual: Array, loss: Loss) -> tuple[str, ...]:
    """Return the naive forecast of least mean loss for each target of several, on what is scored."""
    losses = {name: loss.by_target(forecast, actual) for name, forecast in naive.items()}
    return tuple(min(losses, key=lambda name: losses[name][place]) for place in range(actual.shape[2]))


def _with_quantiles(point: Array, past_errors: Array, levels: tuple[float, ...]) -> Forecast:
    """Return forecasts with the quantiles of past errors, less those of origins that had too few rows before them."""
    has_all = np.isfinite(past_errors).reshape(len(past_errors), -1).all(axis=1)
    spread = np.moveaxis(np.quantile(past_errors[has_all], levels, axis=0), 0, -1)
    return Forecast(point, point[..., None] + spread, levels)
