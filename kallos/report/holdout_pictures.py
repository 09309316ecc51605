"""The picture of an evaluation: every forecaster's error, the skill with its interval, and the forecasts themselves."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.plots import BEST, NAIVE, TRIAL, draw_comparisons

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]


def evaluation_png(evaluation: HoldoutEvaluation, timestamps: pd.Index, actual: Array, forecast: Array) -> bytes:
    """Return a PNG, 1200 x 900 pixels: errors, skills, and forecasts of one step, of shape (origins,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    shapes = figure.subplot_mosaic([["errors", "skills"], ["forecasts", "forecasts"]])
    _draw_errors(shapes["errors"], evaluation)
    draw_comparisons(shapes["skills"], evaluation)
    shapes["skills"].set_title(f"Saved, with its {evaluation.against_naive.confidence:.0%} interval")
    _draw_forecasts(shapes["forecasts"], evaluation, timestamps, actual, forecast)
    figure.suptitle(f"{evaluation.model_id}: {evaluation.verdict.decision}")
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _draw_errors(axes: "Axes", evaluation: HoldoutEvaluation) -> None:
    by_error = sorted(evaluation.errors, key=evaluation.errors.__getitem__, reverse=True)
    errors = [evaluation.errors[name] for name in by_error]
    axes.barh(by_error, errors, color=[BEST if name == "model" else NAIVE for name in by_error])
    axes.set(title="Error on the hold-out", xlabel=f"{evaluation.metric_label}, less is better")


def _draw_forecasts(
    axes: "Axes", evaluation: HoldoutEvaluation, timestamps: pd.Index, actual: Array, forecast: Array
) -> None:
    axes.plot(timestamps, actual, color=TRIAL, linewidth=1, label="actual")
    axes.plot(timestamps, forecast, color=BEST, linewidth=1.5, label="model, one step ahead")
    axes.set(title="Forecasts and what came", ylabel=evaluation.first_target)
    axes.legend()
