"""Forecasts of a hold-out, scored beside those of the baselines."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from kallos.baselines.forecasts import EACH_BEST, RIDGE, SIMPLE, baseline_forecasts, best_by_target, with_each_best
from kallos.baselines.window import Window
from kallos.errors import DataError
from kallos.evaluation.metrics import score_forecasts
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.evaluation.significance import diebold_mariano, skill_interval
from kallos.evaluation.verdict import LEVEL, decide
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256
from kallos.folds.grid import fewest_origins
from kallos.scoring.losses import loss_of
from kallos.scoring.metrics import Forecast, rmse

Array = npt.NDArray[np.float64]


def evaluate_forecasts(
    holdout: Window,
    forecasts: Mapping[str, Array],
    *,
    model_id: str,
    holdout_evaluations: int,
    tests: int,
    champion_id: str | None = None,
    champion: Forecast | None = None,
    level: float = LEVEL,
) -> HoldoutEvaluation:
    """Return how a model does on a hold-out, beside naive forecasts, ridge and the champion, and the verdict.

    `forecasts` has an array for each seed, of shape (origins, horizon, targets, levels) and in the targets' own units;
    the model's forecast is their mean. `champion` are those of the champion. The verdict is by the loss whose mean
    the study's metric is, or else the squared error. `holdout_evaluations` counts the evaluations of any model on rows
    of this hold-out, this one included, and `tests` the different tests: a model on a window each.

    Raises `DataError` if there are too few origins for a verdict, the target does not move, or forecasts are not one
    finite number for each origin and step, and `FitError` as `kallos.scoring.metrics.measure`.
    """
    refuse_too_few(holdout)
    spec, actual, unit, loss = holdout.spec, holdout.actual, holdout.unit, loss_of(holdout.spec.metric)
    seeds = {seed: Forecast.of_quantiles(each, spec.levels) for seed, each in forecasts.items()}
    for name, each in {**seeds, **({} if champion is None else {"the champion": champion})}.items():
        _refuse_unfit(name, each, actual.shape)
    baselines = baseline_forecasts(holdout)
    simple = {name: forecast for name, forecast in baselines.items() if name in SIMPLE}
    rules = best_by_target({name: loss.by_target(each, actual) for name, each in simple.items()})
    simple = with_each_best(simple, rules)
    forecasters = {
        "model": Forecast.mean_of(forecasts.values(), spec.levels).over(unit),
        **simple,
        RIDGE: baselines[RIDGE],
    }
    if champion is not None:
        forecasters["champion"] = champion.over(unit)
    losses = {name: loss.by_origin(each, actual) for name, each in forecasters.items()}
    best_naive = min(simple, key=lambda name: losses[name].mean())
    if losses[best_naive].mean() == 0:
        raise DataError(
            f"a target must move for a forecast to be of use, and the naive one ({best_naive}) makes no error on "
            f"{spec.features.target_label!r} in the hold-out: choose other test dates, or name another target"
        )
    zero, last = forecasters["zero"].point, forecasters["last"].point
    # Of several targets, some may be like returns and others levels.
    is_level = np.square(last - actual).mean(axis=(0, 1)) < np.square(zero - actual).mean(axis=(0, 1))
    reference = np.where(is_level, last, zero)

    def against(name: str) -> Comparison:
        return compare(name, losses["model"], losses[name], overlap=holdout.overlap, of_mean=loss.of_mean, level=level)

    against_naive, against_ridge = against(best_naive), against(RIDGE)
    against_champion = None if champion is None else against("champion")
    return HoldoutEvaluation(
        model_id=model_id,
        champion_id=champion_id,
        asset_id=spec.data.only_asset,
        target=spec.features.target,
        horizon=holdout.horizon,
        test_start=timestamp(holdout.frame.index[holdout.start]),
        test_end=timestamp(holdout.frame.index[-1]),
        n_origins=len(actual),
        data_sha256=frame_sha256(holdout.frame),
        level=level,
        scores={
            name: score_forecasts(actual, each, spec.metric, reference=reference, history=holdout.history)
            for name, each in forecasters.items()
        },
        rmse_by_seed={seed: rmse(each.over(unit).point - actual) for seed, each in seeds.items()},
        naive=best_naive,
        against_naive=against_naive,
        against_ridge=against_ridge,
        against_champion=against_champion,
        holdout_evaluations=holdout_evaluations,
        tests=tests,
        verdict=decide(
            against_naive,
            against_ridge,
            against_champion,
            naive_rules=rules if best_naive == EACH_BEST else (best_naive,),
            is_like_returns=not is_level.any(),
            holdout_evaluations=holdout_evaluations,
            tests=tests,
            level=level,
            score=loss.score,
        ),
        metric=spec.metric,
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
    interval = skill_interval(model_losses, other_losses, confidence=confidence, overlap=overlap, of_mean=of_mean)
    return Comparison(
        other=other,
        skill=interval.skill,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        block_length=interval.block_length,
        statistic=test.statistic,
        p_value=test.p_value,
    )


def refuse_too_few(holdout: Window) -> None:
    """Raise `DataError` if a hold-out has too few origins for a verdict."""
    needed = fewest_origins(holdout.lead, holdout.horizon)
    n_rows = len(holdout.actual)
    if n_rows < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and the hold-out of {len(holdout.frame) - holdout.start} rows "
            f"has {n_rows} with horizon {holdout.horizon}: choose an earlier `test_start_date` or a later "
            f"`test_end_date`, {needed - n_rows} rows more"
        )


def _refuse_unfit(name: str, forecast: Forecast, shape: tuple[int, ...]) -> None:
    if forecast.point.shape != shape:
        raise DataError(
            f"forecasts must have a row for each origin, shape {shape}: those of {name} have {forecast.point.shape}"
        )
    if not np.isfinite(forecast.quantiles).all():
        raise DataError(f"forecasts must be finite, and those of {name} are not: train the model again")
