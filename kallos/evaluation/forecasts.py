"""Forecasts of a hold-out, scored and compared with those of the baselines and the champion."""

from collections.abc import Mapping, Sequence

import numpy as np

from kallos.baselines.forecasts import EACH_BEST, baseline_forecasts, best_by_target, counting, with_each_best
from kallos.baselines.window import Window
from kallos.errors import DataError
from kallos.evaluation.metrics import score_forecasts
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.evaluation.significance import diebold_mariano, skill_interval
from kallos.evaluation.verdict import LEVEL, decide
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256
from kallos.folds.cut import fewest_origins
from kallos.scoring.forecast import Forecast
from kallos.scoring.losses import loss_of
from kallos.scoring.metrics import rmse
from kallos.scoring.targets import behaves_like_a_level
from kallos.specs.baselines import ALWAYS_SCORED
from kallos.specs.metrics import QLIKE, metric_of
from kallos.words import shorten


def evaluate_forecasts(
    holdout: Window,
    forecasts: Mapping[str, Forecast],
    *,
    weights: Sequence[float] | None = None,
    model_id: str,
    holdout_evaluations: int,
    tests: int,
    champion_id: str | None = None,
    champion: Forecast | None = None,
) -> HoldoutEvaluation:
    """Compare a model's forecasts of a hold-out with the baselines' and the champion's, and return the verdict.

    `forecasts` has those of each member, in the targets' own units. The model's forecast is their mean with these
    `weights`, by default equal ones. The tests compare the loss whose mean is the study's metric; if there is none, the
    squared error. `holdout_evaluations` counts all evaluations on rows of this hold-out, including this one. `tests`
    counts the distinct pairs of model and window among them.

    Raises `DataError` if there are too few origins for a verdict, the target is constant, the forecasts are not one
    finite number for each origin and step, or one is not positive and the metric is qlike; `FitError` as
    `kallos.scoring.metrics.measure`; and `UsageError` as `baseline_forecasts`.
    """
    refuse_too_few(holdout)
    spec, actual, unit = holdout.spec, holdout.actual, holdout.unit
    scoring, powers = holdout.scoring, spec.features.variance_powers
    loss = loss_of(spec.metric, scoring)
    for name, each in {**forecasts, **({} if champion is None else {"the champion": champion})}.items():
        _refuse_unfit(name, each, (*actual.shape, len(each.levels)))
        if spec.metric == QLIKE and not (each.scored_by(QLIKE, powers) > 0).all():
            raise DataError(
                f"forecasts must be positive with metric qlike, and those of {name} are not: tune with "
                f"`target_transform` 'log'"
            )
    baselines = {
        name: each
        for name, each in baseline_forecasts(holdout).items()
        if np.isfinite(loss.by_origin(each, actual)).all()
    }
    if not counting(baselines, spec.baselines):
        raise DataError(
            f"an evaluation needs a baseline whose {loss.name} is finite, and {shorten(spec.baselines)} have none: "
            f"tune with others in 'baselines'"
        )
    rules = best_by_target(
        {name: loss.by_target(each, actual) for name, each in counting(baselines, spec.baselines).items()}
    )
    baselines = with_each_best(baselines, rules)
    forecasters = {"model": Forecast.mean_of(forecasts.values(), weights).over(unit), **baselines}
    if champion is not None:
        forecasters["champion"] = champion.over(unit)
    losses = {name: loss.by_origin(each, actual) for name, each in forecasters.items()}
    best_baseline = min(counting(baselines, spec.baselines), key=lambda name: losses[name].mean())
    if losses[best_baseline].mean() == 0:
        raise DataError(
            f"an evaluation needs a target that varies, and the baseline ({best_baseline}) forecasts "
            f"{spec.features.target_label!r} without error on the hold-out: choose other test dates or another target"
        )

    def against(name: str) -> Comparison:
        test = diebold_mariano(losses["model"], losses[name], overlap=holdout.overlap)
        # Excluding `LEVEL` on each side makes the interval agree with the one-sided test.
        confidence = 1 - 2 * LEVEL
        interval = skill_interval(
            losses["model"],
            losses[name],
            confidence=confidence,
            overlap=holdout.overlap,
            of_mean=loss.of_mean,
            skill=loss.metric.skill,
        )
        return Comparison(
            other=name,
            skill=interval.skill,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            block_length=interval.block_length,
            statistic=test.statistic,
            p_value=test.p_value,
        )

    against_baseline = against(best_baseline)
    beside = {name: against(name) for name in ALWAYS_SCORED if name in baselines}
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
        level=LEVEL,
        scores={
            name: score_forecasts(actual, each, spec.objectives, spec.metrics, scoring)
            for name, each in forecasters.items()
        },
        rmse_by_member={label: rmse(each.over(unit).mean - actual) for label, each in forecasts.items()},
        baseline=best_baseline,
        against_baseline=against_baseline,
        beside=beside,
        against_champion=against_champion,
        holdout_evaluations=holdout_evaluations,
        tests=tests,
        verdict=decide(
            against_baseline,
            beside,
            against_champion,
            baseline_rules=rules if best_baseline == EACH_BEST else (best_baseline,),
            is_like_returns=not behaves_like_a_level(holdout.history).any(),
            holdout_evaluations=holdout_evaluations,
            tests=tests,
            metric=loss.metric,
        ),
        metric=spec.metric,
        direction=metric_of(spec.metric).direction,
        loss=loss.name,
        compared_by_metric=loss.metric.name,
    )


def refuse_too_few(holdout: Window) -> None:
    """Raise `DataError` if a hold-out has too few origins for a verdict."""
    needed = fewest_origins(holdout.lead, holdout.horizon)
    n_rows = len(holdout.actual)
    if n_rows < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and the hold-out of {len(holdout.frame) - holdout.start} rows "
            f"has {n_rows} with horizon {holdout.horizon}: add {needed - n_rows} rows with an earlier "
            f"`test_start_date` or a later `test_end_date`"
        )


def _refuse_unfit(name: str, forecast: Forecast, shape: tuple[int, ...]) -> None:
    if forecast.quantiles.shape != shape:
        raise DataError(
            f"forecasts must cover every origin, step, target and level, shape {shape}, and those of {name} have shape "
            f"{forecast.quantiles.shape}"
        )
    if not forecast.is_finite:
        raise DataError(f"forecasts must be finite, and those of {name} are not: train the model again")
