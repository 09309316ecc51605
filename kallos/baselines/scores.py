"""The errors of baselines in a study's folds, over the same (origin, step) pairs as for models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kallos.baselines.forecasts import EACH_BEST, baseline_forecasts, best_by_target, counting, with_each_best
from kallos.baselines.window import Window
from kallos.errors import UsageError
from kallos.features.frequency import Frequency, find_frequency
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import naming
from kallos.scoring.metrics import Forecast, ForecastErrors, errors_of, mean, mean_of_each
from kallos.specs.study import TuneSpec
from kallos.words import shorten

Errors = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class BaselineScores:
    """Errors of each baseline in one fold, all but `rmse` by the study's metric.

    All but `by_asset` are means over the assets. `each target's best` has no errors by target.
    """

    values: dict[str, float]
    rmse: dict[str, float]
    by_asset: Errors
    by_target: Errors


def score_baselines(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, *, beyond: Sequence[Fold] = ()
) -> list[BaselineScores]:
    """Return the errors of the baselines in these folds of the calendar, then in those beyond.

    Baselines that do not exist in one of them, or have an infinite error, are left out of all. Each target's best
    baseline is the best by mean over the folds, without those `beyond`, among those that the study names. Raises
    `DataError` if a target is constant and its errors are in standard deviations, and `UsageError` if none of the
    study's baselines is left.
    """
    frequencies = [find_frequency(timestamps, spec.data.frequency) for timestamps in panel.timestamps]
    windows = [_windows(panel, fold, spec, frequencies) for fold in (*folds, *beyond)]
    # Only errors are kept: forecasts of many quantiles fill the memory.
    errors = [[_errors(window, baseline_forecasts(window)) for window in fold] for fold in windows]
    names = _comparable([asset for fold in errors for asset in fold], spec)
    by_target = [{name: mean_of_each([asset[name].by_target for asset in fold]) for name in names} for fold in errors]
    rules = best_by_target(counting(mean_by_target(by_target[: len(folds)]), spec.baselines))
    if len(set(rules)) > 1:
        names = (*names, EACH_BEST)
        for fold_errors, fold in zip(errors, windows, strict=True):
            for asset, window in zip(fold_errors, fold, strict=True):
                combined = with_each_best(baseline_forecasts(window, dict.fromkeys(rules)), rules)
                asset |= _errors(window, {EACH_BEST: combined[EACH_BEST]})
    return [
        BaselineScores(
            values={name: mean([asset[name].value for asset in fold]) for name in names},
            rmse={name: mean([asset[name].rmse for asset in fold]) for name in names},
            by_asset={name: tuple(asset[name].value for asset in fold) for name in names},
            by_target=own,
        )
        for fold, own in zip(errors, by_target, strict=True)
    ]


def mean_by_target(folds: Sequence[Errors]) -> Errors:
    """Return each baseline's mean error over the folds on each target."""
    return {name: mean_of_each([errors[name] for errors in folds]) for name in folds[0]}


def _windows(panel: Panel, fold: Fold, spec: TuneSpec, frequencies: Sequence[Frequency]) -> list[Window]:
    """Return the fold's window of each asset; errors name the asset."""
    windows = []
    for asset, own, frequency in zip(spec.data.assets, panel.folds_of(fold), frequencies, strict=True):
        with naming(asset, spec):
            windows.append(Window.of_fold(panel.frame, own, spec, frequency))
    return windows


def _errors(window: Window, forecasts: Mapping[str, Forecast]) -> dict[str, ForecastErrors]:
    metric, scoring = window.spec.metric, window.scoring
    return {name: errors_of(metric, forecast, window.actual, scoring) for name, forecast in forecasts.items()}


def _comparable(windows: Sequence[Mapping[str, ForecastErrors]], spec: TuneSpec) -> tuple[str, ...]:
    """Return the baselines that all windows have, with an error that is not infinite."""
    names = tuple(
        name for name in windows[0] if all(name in errors and not math.isinf(errors[name].value) for errors in windows)
    )
    if not counting(dict.fromkeys(names), spec.baselines):
        raise UsageError(
            f"a study needs a baseline with a finite {spec.metric} in all folds; {shorten(spec.baselines)} have none: "
            f"name others in 'baselines'"
        )
    return names
