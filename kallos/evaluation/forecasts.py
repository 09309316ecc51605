"""Forecasts of a hold-out, scored beside those of the baselines."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from kallos.baselines.forecasts import RIDGE, rules_by_target, yardsticks
from kallos.baselines.holdout import Holdout
from kallos.baselines.scores import EACH_BEST
from kallos.errors import DataError
from kallos.evaluation.metrics import rmse, score_forecasts
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.evaluation.significance import diebold_mariano, gain_interval
from kallos.evaluation.verdict import LEVEL, decide
from kallos.features.moments import stamp
from kallos.features.snapshots import frame_sha256
from kallos.folds.grid import fewest_origins
from kallos.scoring.losses import loss_of
from kallos.scoring.metrics import Forecast, measure
from kallos.specs.metrics import OF_QUANTILES, RMSE

Array = npt.NDArray[np.float64]

# Metrics that are in every forecaster's scores.
_ALWAYS_SCORED = (RMSE, "mae")


def evaluate_forecasts(
    holdout: Holdout,
    forecasts: Mapping[str, Array],
    *,
    model_id: str,
    asset_id: str,
    looks: int,
    tests: int,
    in_use_id: str | None = None,
    in_use: Array | None = None,
    metric: str = RMSE,
    level: float = LEVEL,
) -> HoldoutEvaluation:
    """Return how a model does on a hold-out, beside naive forecasts, ridge and the model in use, and the verdict.

    `forecasts` has an array for each seed, of shape (origins, horizon[, targets][, quantiles]) and in the targets' own
    units; the model's forecast is their mean. `in_use` are those of the model in use, points unless `metric` is of
    quantiles. The verdict is by the loss whose mean the metric is, or else the squared error. `looks` counts the
    evaluations of any model on rows of this hold-out, this one included, and `tests` the different tests: a model on a
    window each.

    Raises `DataError` if there are too few origins for a verdict, the target does not move, or forecasts are not one
    finite number for each origin and step, and `FitError` as `kallos.scoring.metrics.measure`.
    """
    refuse_too_few(holdout)
    actual, unit, loss = holdout.actual, holdout.unit, loss_of(metric)
    levels_in_use = holdout.levels if metric in OF_QUANTILES else None
    for seed, each in forecasts.items():
        _refuse_unfit(seed, each, actual.shape, holdout.levels)
    seeds = {seed: Forecast.of(each, holdout.levels).over(unit) for seed, each in forecasts.items()}
    others = yardsticks(holdout)
    model = np.mean(list(forecasts.values()), axis=0)
    naive = {name: forecast for name, forecast in others.items() if name != RIDGE}
    rules = rules_by_target(naive, actual, loss) if actual.ndim > 2 else ()
    # One that is the same for all targets is there by its own name.
    if len(set(rules)) > 1:
        naive[EACH_BEST] = Forecast.by_target([naive[rule] for rule in rules])
    forecasters = {"model": Forecast.of(model, holdout.levels).over(unit), **naive, RIDGE: others[RIDGE]}
    if in_use is not None:
        _refuse_unfit("the model in use", in_use, actual.shape, levels_in_use)
        forecasters["in use"] = Forecast.of(in_use, levels_in_use).over(unit)
    losses = {name: loss.by_origin(each, actual) for name, each in forecasters.items()}
    best_naive = min(naive, key=lambda name: losses[name].mean())
    if losses[best_naive].mean() == 0:
        raise DataError(
            f"a target must move for a forecast to be of use, and the naive one ({best_naive}) makes no error on "
            f"{holdout.target!r} in the hold-out: choose other test dates, or name another target"
        )
    zero, last = forecasters["zero"].point, forecasters["last"].point
    # Of several targets, some may be like returns and others levels.
    is_level = np.square(last - actual).mean(axis=(0, 1)) < np.square(zero - actual).mean(axis=(0, 1))
    reference = np.where(is_level, last, zero)

    def against(name: str) -> Comparison:
        return compare(name, losses["model"], losses[name], overlap=holdout.overlap, of_mean=loss.of_mean, level=level)

    against_naive, against_ridge = against(best_naive), against(RIDGE)
    against_in_use = None if in_use is None else against("in use")
    return HoldoutEvaluation(
        model_id=model_id,
        in_use_id=in_use_id,
        asset_id=asset_id,
        target=holdout.target,
        horizon=holdout.horizon,
        test_start=stamp(holdout.frame.index[holdout.start]),
        test_end=stamp(holdout.frame.index[holdout.stop - 1]),
        n_origins=len(actual),
        data_sha256=frame_sha256(holdout.frame.iloc[: holdout.stop]),
        level=level,
        scores={
            name: score_forecasts(
                actual,
                each.point,
                reference=reference,
                history=holdout.history,
                measured=None if metric in _ALWAYS_SCORED else measure(metric, each, actual),
            )
            for name, each in forecasters.items()
        },
        rmse_by_seed={seed: rmse(actual, each.point) for seed, each in seeds.items()},
        naive=best_naive,
        against_naive=against_naive,
        against_ridge=against_ridge,
        against_in_use=against_in_use,
        looks=looks,
        tests=tests,
        verdict=decide(
            against_naive,
            against_ridge,
            against_in_use,
            naive_rules=rules if best_naive == EACH_BEST else (best_naive,),
            is_like_returns=not is_level.any(),
            looks=looks,
            tests=tests,
            level=level,
            score=loss.score,
        ),
        metric=metric,
        loss=loss.name,
        score=loss.score,
    )


def compare(
    other: str,
    model_losses: Array,
    other_losses: Array,
    *,
    overlap: int,
    of_mean: Callable[[Array], Array] = np.sqrt,
    level: float = LEVEL,
) -> Comparison:
    """Return a model against another forecaster, by one loss an origin, and the score that a mean loss comes to.

    The interval has a share `level` on each side, so that it says about what the one-sided test says.
    """
    test = diebold_mariano(model_losses, other_losses, overlap=overlap)
    confidence = 1 - 2 * level
    interval = gain_interval(model_losses, other_losses, confidence=confidence, overlap=overlap, of_mean=of_mean)
    return Comparison(
        other=other,
        gain=interval.gain,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        block_length=interval.block_length,
        statistic=test.statistic,
        p_value=test.p_value,
    )


def refuse_too_few(holdout: Holdout) -> None:
    """Raise `DataError` if a hold-out has too few origins for a verdict."""
    needed = fewest_origins(holdout.lead, holdout.horizon)
    there = len(holdout.actual)
    if there < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and the hold-out of {holdout.stop - holdout.start} rows has "
            f"{there} with horizon {holdout.horizon}: choose an earlier `test_start_date` or a later `test_end_date`, "
            f"{needed - there} rows more"
        )


def _refuse_unfit(name: str, forecast: Array, actual: tuple[int, ...], levels: tuple[float, ...] | None) -> None:
    shape = actual if levels is None else (*actual, len(levels))
    if forecast.shape != shape:
        raise DataError(
            f"forecasts must have a row for each origin, shape {shape}: those of {name} have {forecast.shape}"
        )
    if not np.isfinite(forecast).all():
        raise DataError(f"forecasts must be finite, and those of {name} are not: train the model again")
