"""Parallel coordinates from top to bottom: a row per parameter, and a line per trial."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kallos.report.plots import BEST, PRUNED, RULE, SOFT, TRIAL, put_legend, put_text, value_limit
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, complete_trials
from kallos.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Includes room for the name above the row.
_PIXELS_PER_ROW = 52


def parallel_height(space: dict[str, BaseDistribution]) -> int:
    """Return the height in pixels that the parameters and the value need."""
    return _PIXELS_PER_ROW * (len(space) + 1) + 40


def draw_parallel(axes: "Axes", result: TuningResult, space: dict[str, BaseDistribution], *, columns: int) -> None:
    """Draw each trial as a line through its parameters to its value."""
    from matplotlib.collections import LineCollection

    rows = [*space, result.spec.metric_label]
    heights = np.arange(len(rows))[::-1]
    complete = sorted(complete_trials(result.trials), key=lambda trial: result.metric.as_loss(trial.only_value))
    n_good = max(len(complete) // 4, 1)
    kinds = (
        ("pruned or failed", PRUNED, 1.0, 0.8, [trial for trial in result.trials if trial.value is None]),
        ("complete", TRIAL, 1.0, 0.7, complete[n_good:]),
        ("best quarter", BEST, 1.3, 0.5, complete[:n_good]),
        ("best", BEST, 3.0, 1.0, [result.best]),
    )
    axes.hlines(heights, 0, 1, color=RULE, linewidth=1)
    for label, colour, width, opacity, trials in kinds:
        lines = [_line(trial, result, space) for trial in trials]
        if lines:
            drawn = [np.column_stack((places, heights)) for places in lines]
            axes.add_collection(LineCollection(drawn, color=colour, linewidth=width, alpha=opacity, label=label))
    axes.scatter(_line(result.best, result, space), heights, 36, color=BEST, zorder=3, clip_on=False)
    for name, height in zip(rows, heights, strict=True):
        put_text(axes, name, (0, height), (0, 9), va="bottom")
        for position, text in _marks(name, space, result):
            side = "left" if position == 0 else "right" if position == 1 else "center"
            put_text(axes, text, (position, height), (0, -5), fontsize=10.5, color=SOFT, va="top", ha=side)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.55, len(rows) - 0.3), xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    put_legend(axes, columns)


def _line(trial: TrialRecord, result: TuningResult, space: dict[str, BaseDistribution]) -> list[float]:
    drawn = result.spec.search_space.as_drawn(trial.params)
    return [*(_place(drawn.get(name), space[name]) for name in space), _value_place(trial, result)]


def _place(value: Any, distribution: BaseDistribution) -> float:
    """Return the place of a parameter on its row, from 0 to 1; NaN if it was not drawn from the distribution."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return _share(choices.index(value), len(choices)) if value in choices else math.nan
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    if not isinstance(value, int | float) or not low <= value <= high or low == high:
        return math.nan if low != high else 0.5
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low))


def _share(number: int, of: int) -> float:
    return number / (of - 1) if of > 1 else 0.5


def _value_place(trial: TrialRecord, result: TuningResult) -> float:
    if trial.value is None:
        return math.nan
    low, high = _value_range(result)
    return float(np.clip((trial.value - low) / (high - low), 0, 1)) if high != low else 0.0


def _value_range(result: TuningResult) -> tuple[float, float]:
    """Return the best value of all trials, and the worst that is shown."""
    best = result.metric.best(trial.only_value for trial in complete_trials(result.trials))
    limit = value_limit(result)
    return best, best if result.metric.is_better(limit, best) else limit


def _marks(name: str, space: dict[str, BaseDistribution], result: TuningResult) -> list[tuple[float, str]]:
    """Return the labels below a row, with their places."""
    if name == result.spec.metric_label:
        metric, (low, high) = result.metric, _value_range(result)
        is_cut = any(metric.is_better(high, trial.only_value) for trial in complete_trials(result.trials))
        beyond = f" or {'less' if metric.is_maximised else 'more'}" if is_cut else ""
        return [(0, f"{low:.5g}"), (1, f"{high:.5g}{beyond}")]
    distribution = space[name]
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return [(_share(number, len(choices)), str(choice)) for number, choice in enumerate(choices)]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [(0, short(distribution.low)), (1, short(distribution.high))]
