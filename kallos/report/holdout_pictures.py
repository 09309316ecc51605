"""The picture of an evaluation: every forecaster's error, the gain with its interval, and the forecasts themselves."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.evaluation.results import Comparison, HoldoutEvaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

# Of the palette by Okabe and Ito (2008), which colour-blind people can tell apart.
_MODEL, _OTHER, _ACTUAL = "#0072B2", "#D55E00", "#666666"


def evaluation_png(evaluation: HoldoutEvaluation, stamps: pd.Index, actual: Array, forecast: Array) -> bytes:
    """Return a PNG, 1200 x 900 pixels: errors, gains, and forecasts of one step, of shape (origins,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    shapes = figure.subplot_mosaic([["errors", "gains"], ["forecasts", "forecasts"]])
    _draw_errors(shapes["errors"], evaluation)
    _draw_gains(shapes["gains"], evaluation)
    _draw_forecasts(shapes["forecasts"], evaluation, stamps, actual, forecast)
    figure.suptitle(f"{evaluation.model_id}: {evaluation.verdict.decision}")
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def comparisons(evaluation: HoldoutEvaluation) -> list[Comparison]:
    """Return what the model was held against, the best naive forecast first."""
    found = (evaluation.against_naive, evaluation.against_ridge, evaluation.against_in_use)
    return [comparison for comparison in found if comparison is not None]


def _draw_errors(axes: "Axes", evaluation: HoldoutEvaluation) -> None:
    by_error = sorted(evaluation.errors, key=evaluation.errors.__getitem__, reverse=True)
    errors = [evaluation.errors[name] for name in by_error]
    axes.barh(by_error, errors, color=[_MODEL if name == "model" else _OTHER for name in by_error])
    axes.set(title="Error on the hold-out", xlabel=f"{evaluation.metric_label}, less is better")


def _draw_gains(axes: "Axes", evaluation: HoldoutEvaluation) -> None:
    found = comparisons(evaluation)[::-1]
    places = np.arange(len(found))
    for place, comparison in zip(places, found, strict=True):
        axes.plot([100 * comparison.low, 100 * comparison.high], [place, place], color=_MODEL, linewidth=3)
        axes.plot(100 * comparison.gain, place, "o", color=_MODEL, markersize=9)
    axes.axvline(0, color=_OTHER, linestyle="--", label="no gain")
    axes.set_yticks(places, [f"over {comparison.other}" for comparison in found])
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set(title=f"{evaluation.score} saved, with its {found[0].confidence:.0%} interval", xlabel="per cent")
    axes.legend()


def _draw_forecasts(
    axes: "Axes", evaluation: HoldoutEvaluation, stamps: pd.Index, actual: Array, forecast: Array
) -> None:
    axes.plot(stamps, actual, color=_ACTUAL, linewidth=1, label="actual")
    axes.plot(stamps, forecast, color=_MODEL, linewidth=1.5, label="model, one step ahead")
    axes.set(title="Forecasts and what came", ylabel=evaluation.first_target)
    axes.legend()
