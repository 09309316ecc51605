"""The scores of baselines in a study's folds, over the same (origin, step) pairs as for models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kallos.baselines.forecasts import EACH_BEST, baseline_forecasts, best_by_target, counting, with_each_best
from kallos.baselines.window import Window
from kallos.errors import UsageError
from kallos.features.frequency import find_frequency
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import naming
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import (
    Measured,
    Scores,
    mean,
    mean_of_each,
    means_of_defined,
    measured,
    score_by,
)
from kallos.specs.metrics import metric_of, metric_of_one_target
from kallos.specs.study import TuneSpec
from kallos.words import shorten

Parts = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class BaselineScores:
    """Scores of each baseline in one fold; `metrics` has those by each metric, the others are by the study's.

    All but `by_asset` are means over the assets. `each target's best` has no scores by target.
    """

    values: dict[str, float]
    metrics: dict[str, Scores]
    by_asset: Parts
    by_target: Parts


def score_baselines(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, *, beyond: Sequence[Fold] = ()
) -> list[BaselineScores]:
    """Return the scores of the baselines in these folds of the calendar, then in those beyond.

    Baselines that do not exist in one of them, or have an infinite score, are left out of all. Each target's best
    baseline is the best by mean over the folds, without those `beyond`, among those that the study names. Raises
    `DataError` if a target is constant and its errors are in standard deviations, and `UsageError` if none of the
    study's baselines is left.
    """
    windows = [windows_of_fold(panel, panel.folds_of(fold), spec) for fold in (*folds, *beyond)]
    # Only scores are kept: forecasts of many quantiles fill the memory.
    scores = [[_scores(window, baseline_forecasts(window)) for window in fold] for fold in windows]
    names = _comparable([asset for fold in scores for asset in fold], spec)
    by_target = [{name: mean_of_each([asset[name].by_target for asset in fold]) for name in names} for fold in scores]
    own = metric_of(metric_of_one_target(spec.metric))
    rules = best_by_target(counting(mean_by_target(by_target[: len(folds)]), spec.baselines), own.as_loss)
    if len(set(rules)) > 1:
        names = (*names, EACH_BEST)
        for fold_scores, fold in zip(scores, windows, strict=True):
            for asset, window in zip(fold_scores, fold, strict=True):
                combined = with_each_best(baseline_forecasts(window, dict.fromkeys(rules)), rules)
                asset |= _scores(window, {EACH_BEST: combined[EACH_BEST]})
    return [
        BaselineScores(
            values={name: mean([score_by(asset[name].values, spec.metric) for asset in fold]) for name in names},
            metrics={name: means_of_defined([asset[name].values for asset in fold]) for name in names},
            by_asset={name: tuple(score_by(asset[name].values, spec.metric) for asset in fold) for name in names},
            by_target=each,
        )
        for fold, each in zip(scores, by_target, strict=True)
    ]


def mean_by_target(folds: Sequence[Parts]) -> Parts:
    """Return each baseline's mean error over the folds on each target."""
    return {name: mean_of_each([errors[name] for errors in folds]) for name in folds[0]}


def windows_of_fold(panel: Panel, folds: Sequence[Fold], spec: TuneSpec) -> list[Window]:
    """Return the window of each asset's own fold; errors name the asset."""
    windows = []
    for asset, own, timestamps in zip(spec.data.assets, folds, panel.timestamps, strict=True):
        with naming(asset, spec):
            frequency = find_frequency(timestamps, spec.data.frequency)
            windows.append(Window.of_fold(panel.frame, own, spec, frequency))
    return windows


def _scores(window: Window, forecasts: Mapping[str, Forecast]) -> dict[str, Measured]:
    objectives, scoring = window.spec.objectives, window.scoring
    shown = [name for name in window.spec.scored_metrics if name not in objectives]
    return {name: measured(objectives, shown, forecast, window.actual, scoring) for name, forecast in forecasts.items()}


def _comparable(windows: Sequence[Mapping[str, Measured]], spec: TuneSpec) -> tuple[str, ...]:
    """Return the baselines that all windows have, with scores that are not infinite by any objective."""

    def is_finite(scores: Measured) -> bool:
        return not any(math.isinf(score_by(scores.values, name)) for name in spec.objectives)

    names = tuple(name for name in windows[0] if all(name in each and is_finite(each[name]) for each in windows))
    if not counting(dict.fromkeys(names), spec.baselines):
        raise UsageError(
            f"a study needs a baseline with a finite {spec.metric} in all folds; {shorten(spec.baselines)} have none: "
            f"name others in 'baselines'"
        )
    return names
