"""Measuring forecasts by any metric of `kallos.specs.metrics`.

The arithmetic of metrics that follow from a mean of losses is in `kallos.scoring.pair_losses`, that of correlations in
`kallos.scoring.agreement`, and that of what trading would have earned in `kallos.scoring.positions`. A metric that may
be an objective always has a number, though QLIKE's may be infinite; one that is only shown may have none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
import numpy.typing as npt

from kallos.errors import FitError, UsageError, require, require_each
from kallos.scoring.agreement import f1_up, information_coefficient, rank_information_coefficient, varies
from kallos.scoring.forecast import Forecast
from kallos.scoring.pair_losses import pinball_losses, qlike_losses, scaled_errors, symmetric_errors, wrong_signs
from kallos.scoring.positions import BY_SIGN, PROPORTIONAL, Positions, Trading
from kallos.specs.metrics import Metric, custom_metric, metric_of, metric_of_one_target

Array = npt.NDArray[np.float64]

# Raise this whenever a change to the arithmetic of a metric changes a bit of a score.
SCORING_VERSION = 1

# Scores by metrics; None where a metric is not defined.
Scores = dict[str, float | None]

# The names of the metrics in `kallos.specs.metrics`.
_AGREEMENT = {"ic": information_coefficient, "rank_ic": rank_information_coefficient, "f1_up": f1_up}


@dataclass(frozen=True, eq=False)
class Scoring:
    """What metrics need besides the forecasts and the actual values, which are both in units of `unit`.

    `powers`, one per target, are those of `FeatureSpec.variance_powers`. `change` is the mean absolute change of one
    row over the training rows. `unit` and `change`, of shape (targets,), are in the target's own unit. Signs,
    correlations and positions are those of moves from `reference`, which broadcasts to the forecasts: zero for
    returns, the last known value for levels.
    """

    powers: tuple[int, ...]
    unit: Array | float = 1.0
    change: Array | float = math.nan
    reference: Array | float = 0.0
    trading: Trading = field(default_factory=Trading)

    def __post_init__(self) -> None:
        """Raise `UsageError` for arguments of other types."""
        require_each(int, powers=self.powers)
        require((np.ndarray, Real), unit=self.unit, change=self.change, reference=self.reference)
        require(Trading, trading=self.trading)

    def of_target(self, target: int) -> "Scoring":
        """Return the same for only the target at this position."""
        n, one = len(self.powers), slice(target, target + 1)
        reference = np.asarray(self.reference)
        return replace(
            self,
            powers=self.powers[one],
            unit=np.broadcast_to(self.unit, (n,))[one],
            change=np.broadcast_to(self.change, (n,))[one],
            reference=np.broadcast_to(reference, (*reference.shape[:-1], n))[..., one],
        )


@dataclass(frozen=True)
class Measured:
    """Scores over all origins, steps and targets: by each metric, and by the first one on each target.

    A score is None where its metric is not defined. A custom metric may need all targets together, so single targets
    are then scored by RMSE.
    """

    values: Scores
    by_target: tuple[float, ...]


def measured(
    objectives: Sequence[str], shown: Sequence[str], forecast: Forecast, actual: Array, scoring: Scoring
) -> Measured:
    """Return the scores of forecasts by the objectives, as `measure`, and by the metrics shown, as `columns_of`."""
    own = metric_of_one_target(objectives[0])
    of_objectives = {name: _or_none(measure(name, forecast, actual, scoring)) for name in objectives}
    return Measured(
        values={**of_objectives, **columns_of(shown, forecast, actual, scoring)},
        by_target=tuple(
            measure(own, forecast.of_target(i), actual[:, :, [i]], scoring.of_target(i)) for i in range(actual.shape[2])
        ),
    )


def measure(name: str, forecast: Forecast, actual: Array, scoring: Scoring) -> float:
    """Return the score of forecasts by a metric; `actual` has the shape (origins, steps, targets).

    It is no number (`nan`) where a metric that is only shown is not defined, and for MASE if the training rows do not
    change. Raises `UsageError` if there is no such metric, and `FitError` if a custom metric raises or does not return
    a number.
    """
    metric = metric_of(name)
    if ":" in name:
        return _measure_by_own(name, forecast.point, actual)
    if metric.loss is not None:
        return float(score_of_mean(name, pair_losses(name, forecast, actual, scoring).mean()))
    made, came = scored_part(metric, forecast, scoring.powers) - scoring.reference, actual - scoring.reference
    if name in _AGREEMENT:
        return _AGREEMENT[name](made, came)
    if name in BY_SIGN:
        return BY_SIGN[name](Positions.by_sign(made, came, scoring.trading, scoring.unit))
    return PROPORTIONAL[name](Positions.proportional(made, came, scoring.trading, scoring.unit))


def columns_of(names: Sequence[str], forecast: Forecast, actual: Array, scoring: Scoring) -> dict[str, float | None]:
    """Return the scores to show of forecasts by each metric, None where the rows leave nothing to find.

    There is no sign to find if all actual values moved the same way, since a constant forecast is then always right,
    and nothing to correlate with if they are all equal. A custom metric that raises leaves its score empty, too, since
    nothing is chosen by it. Otherwise as `measure`.
    """
    require_each(str, names=names)
    require(Forecast, forecast=forecast)
    require(np.ndarray, actual=actual)
    require(Scoring, scoring=scoring)
    return only_finite({name: _shown(name, forecast, actual, scoring) for name in names})


def is_defined(name: str, actual: Array, scoring: Scoring) -> bool:
    """Return whether the actual values leave something to find by the metric, whatever is forecast."""
    came = actual - scoring.reference
    if name in ("direction", "f1_up"):
        return bool((came > 0).any() and (came < 0).any())
    return name not in ("ic", "rank_ic") or bool(varies(came).any())


def losses_by_origin(name: str, forecast: Forecast, actual: Array, scoring: Scoring) -> Array:
    """Return a metric's loss at each origin, the mean over steps, targets and quantiles, of shape (origins,).

    `score_of_mean` of their mean is the score. Raises `UsageError` for a metric that is not determined by such a mean
    (`Metric.loss` is None).
    """
    losses: Array = pair_losses(name, forecast, actual, scoring).reshape(len(actual), -1).mean(axis=1)
    return losses


def losses_by_target(name: str, forecast: Forecast, actual: Array, scoring: Scoring) -> tuple[float, ...]:
    """Return a metric's mean loss on each target; as `losses_by_origin`."""
    losses = np.moveaxis(pair_losses(name, forecast, actual, scoring), 2, 0)
    return tuple(losses.reshape(len(losses), -1).mean(axis=1).tolist())


def pair_losses(name: str, forecast: Forecast, actual: Array, scoring: Scoring) -> Array:
    """Return a metric's loss of each single forecast, in the shape of `actual` or of the quantiles."""
    part = scored_part(metric_of(name), forecast, scoring.powers)
    match name:
        case "rmse":
            return np.square(part - actual)
        case "mae":
            return np.abs(part - actual)
        case "mase":
            return scaled_errors(part, actual, np.asarray(scoring.change) / scoring.unit)
        case "smape":
            return symmetric_errors(part, actual)
        case "qlike":
            return qlike_losses(part, actual, scoring.powers)
        case "pinball":
            return pinball_losses(part, forecast.levels, actual)
        case "crps":
            return 2 * pinball_losses(part, forecast.levels, actual)
        case "direction":
            return wrong_signs(part - scoring.reference, actual - scoring.reference)
    raise UsageError(f"{name!r} is not determined by a mean of losses: compare by another metric, such as 'rmse'")


def score_of_mean(name: str, mean_loss: Array) -> Array:
    """Return the score that follows from a mean loss, such as the root of a mean square."""
    match name:
        case "rmse":
            return np.sqrt(mean_loss)
        case "direction":
            return 1 - mean_loss
    return mean_loss


def scored_part(metric: Metric, forecast: Forecast, powers: Sequence[int]) -> Array:
    """Return what the metric compares with the actual values: quantiles, or one value of each forecast."""
    return forecast.quantiles if metric.needs_likelihood else forecast.scored_by(metric.name, powers)


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def mean(errors: Sequence[float]) -> float:
    """Return the mean over folds or assets; a single error is returned to the bit."""
    return float(np.mean(errors))


def means_of_defined(scores: Sequence[Scores]) -> Scores:
    """Return the mean by each metric over folds or assets, of the scores that are defined; None if none is."""
    defined = {name: [value for each in scores if (value := each[name]) is not None] for name in scores[0]}
    return {name: mean(values) if values else None for name, values in defined.items()}


def score_by(scores: Scores, name: str) -> float:
    """Return the score by a metric; `nan` where it is not defined."""
    value = scores[name]
    return math.nan if value is None else value


def only_finite(scores: Scores) -> Scores:
    """Return the scores with None in place of those that are infinite or not a number, which no JSON can hold."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in scores.items()}


def _shown(name: str, forecast: Forecast, actual: Array, scoring: Scoring) -> float | None:
    if not is_defined(name, actual, scoring):
        return None
    try:
        return _or_none(measure(name, forecast, actual, scoring))
    except FitError:
        return None


def _or_none(score: float) -> float | None:
    return None if math.isnan(score) else score


def mean_of_each(errors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the means over folds or assets, position by position."""
    return tuple(mean(each) for each in zip(*errors, strict=True))


def _measure_by_own(name: str, point: Array, actual: Array) -> float:
    try:
        return float(custom_metric(name).function(point.copy(), actual.copy()))
    except UsageError:
        raise
    except Exception as error:
        raise FitError(
            f"a metric must return a number for arrays of shape {point.shape}, and {name} raised "
            f"{type(error).__name__}: {error}"
        ) from error
