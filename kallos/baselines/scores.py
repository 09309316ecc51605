"""The errors of baselines in a study's folds, over the same (origin, step) pairs as for models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kallos.baselines.forecasts import baseline_forecasts, best_by_target, with_each_best
from kallos.baselines.window import Window
from kallos.features.frequency import Frequency, find_frequency
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import naming
from kallos.scoring.metrics import ForecastErrors, errors_of, mean, mean_of_each
from kallos.specs.study import TuneSpec

IN_FOLDS = ("zero", "last", "mean")

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

    Each target's best baseline is the best by mean over the folds, without those `beyond`. Raises `DataError` if a
    target is constant and its errors are in standard deviations.
    """
    frequencies = [find_frequency(timestamps, spec.data.frequency) for timestamps in panel.timestamps]
    windows = [_windows(panel, fold, spec, frequencies) for fold in (*folds, *beyond)]
    # Only errors are kept: forecasts of many quantiles fill the memory.
    errors = [_errors(spec.metric, fold, rules=()) for fold in windows]
    by_target = [_by_target(each) for each in errors]
    rules = best_by_target(mean_by_target(by_target[: len(folds)]))
    if len(set(rules)) > 1:
        errors = [_errors(spec.metric, fold, rules) for fold in windows]
    return [
        BaselineScores(
            values={name: mean([asset.value for asset in each]) for name, each in of_fold.items()},
            rmse={name: mean([asset.rmse for asset in each]) for name, each in of_fold.items()},
            by_asset={name: tuple(asset.value for asset in each) for name, each in of_fold.items()},
            by_target=own,
        )
        for of_fold, own in zip(errors, by_target, strict=True)
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


def _errors(metric: str, windows: Sequence[Window], rules: Sequence[str]) -> dict[str, list[ForecastErrors]]:
    """Return the errors of each baseline, one per asset; with rules, also of the one that follows a rule per target."""
    each = [_errors_of_asset(metric, window, rules) for window in windows]
    return {name: [asset[name] for asset in each] for name in each[0]}


def _errors_of_asset(metric: str, window: Window, rules: Sequence[str]) -> dict[str, ForecastErrors]:
    forecasts = with_each_best(baseline_forecasts(window, IN_FOLDS), rules)
    return {name: errors_of(metric, forecast, window.actual) for name, forecast in forecasts.items()}


def _by_target(errors: Mapping[str, Sequence[ForecastErrors]]) -> Errors:
    return {name: mean_of_each([asset.by_target for asset in each]) for name, each in errors.items()}
