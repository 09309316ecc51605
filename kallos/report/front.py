"""The plot of the first two objectives: all complete trials, those that no other dominates, and the baseline."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kallos.report.plots import BASELINE, BEST, PAPER, TRIAL, put_legend, put_text, worst_shown
from kallos.scoring.metrics import score_by
from kallos.specs.metrics import metric_of
from kallos.study.result import TuningResult
from kallos.study.trials import complete_trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]


def draw_front(axes: "Axes", result: TuningResult, *, columns: int) -> None:
    """Draw the complete trials by the first two objectives; those far off lie at the edge."""
    metrics = [metric_of(name) for name in result.spec.objectives[:2]]
    trials = complete_trials(result.trials)
    points = np.array([[score_by(trial.values, metric.name) for metric in metrics] for trial in trials])
    baseline = np.array([score_by(result.baseline_metrics[result.baseline], metric.name) for metric in metrics])
    on_front = np.array([trial.number in result.front for trial in trials])
    edges = [worst_shown(metric, points[:, axis], baseline[axis]) for axis, metric in enumerate(metrics)]
    shown = points.copy()
    for axis, (metric, edge) in enumerate(zip(metrics, edges, strict=True)):
        bound = np.maximum if metric.is_maximised else np.minimum
        shown[:, axis] = np.where(on_front, points[:, axis], bound(points[:, axis], edge))
    far = (shown != points).any(axis=1)
    dominated = ~on_front & ~far
    axes.scatter(shown[dominated, 0], shown[dominated, 1], 22, color=TRIAL, linewidth=0, label="dominated")
    if far.any():
        axes.scatter(shown[far, 0], shown[far, 1], 26, color=TRIAL, marker="x", linewidth=1.2, label="off the scale")
    in_order = shown[on_front][np.argsort(shown[on_front, 0])]
    # What lies behind the steps is dominated; with more objectives it need not be.
    line, side = "-" if len(result.spec.objectives) == 2 else "none", "pre" if metrics[0].is_maximised else "post"
    axes.plot(*in_order.T, line, drawstyle=f"steps-{side}", color=BEST, linewidth=1.6, marker="o", label="front")
    label = f"baseline ({result.baseline})"
    axes.scatter(baseline[0], baseline[1], 60, color=BASELINE, marker="D", linewidth=0, zorder=3, label=label)
    x, y = shown[[trial.number for trial in trials].index(result.best.number)]
    axes.scatter(x, y, 110, color=BEST, edgecolor=PAPER, linewidth=1.2, zorder=4, label="picked")
    # The side of better scores is free of the front and of all that it dominates.
    side, by = ("bottom", 9) if metrics[1].is_maximised else ("top", -9)
    put_text(axes, f"trial {result.best.number}", (x, y), (0, by), ha="center", va=side, weight="bold")
    axes.set(xlabel=metrics[0].label_with_better, ylabel=metrics[1].label_with_better)
    axes.locator_params(nbins=5)
    axes.margins(0.1)
    put_legend(axes, columns)
