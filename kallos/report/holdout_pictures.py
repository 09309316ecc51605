"""The plot of an evaluation: scores, skills with their intervals, and forecasts."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.plots import BASELINE, BEST, TRIAL, draw_comparisons

Array = npt.NDArray[np.float64]


def evaluation_png(evaluation: HoldoutEvaluation, timestamps: pd.Index, actual: Array, forecast: Array) -> bytes:
    """Return a PNG of 1200 x 900 pixels; `actual` and `forecast` are of one step, of shape (origins,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    axes = figure.subplot_mosaic([["scores", "skills"], ["forecasts", "forecasts"]])
    # The first bar is the lowest.
    scores = dict(reversed(evaluation.by_metric.items()))
    colours = [BEST if name == "model" else BASELINE for name in scores]
    axes["scores"].barh(list(scores), list(scores.values()), color=colours)
    axes["scores"].set(title="Scores on the hold-out", xlabel=evaluation.study_metric.label_with_better)
    draw_comparisons(axes["skills"], evaluation)
    axes["skills"].set_title(f"Skill, with its {evaluation.against_baseline.confidence:.0%} confidence interval")
    axes["forecasts"].plot(timestamps, actual, color=TRIAL, linewidth=1, label="actual")
    axes["forecasts"].plot(timestamps, forecast, color=BEST, linewidth=1.5, label="model, one step ahead")
    axes["forecasts"].set(title="Forecasts and actual values", ylabel=evaluation.first_target)
    axes["forecasts"].legend()
    figure.suptitle(f"{evaluation.model_id}: {evaluation.verdict.decision}")
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
