"""Pictures of a study: its best trial against the naive forecast, fold by fold, and how it got there."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from kallos.report import fold_rows, study_title
from kallos.results import TuningResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the palette by Okabe and Ito (2008), which colour-blind people can tell apart.
_BEST, _NAIVE, _TRIAL = "#0072B2", "#D55E00", "#999999"


def study_png(result: TuningResult) -> bytes:
    """Return a PNG, 1200 x 450 pixels: RMSE per fold beside naive's, and the value of each trial in their order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), dpi=100, layout="constrained")
    by_fold, by_trial = figure.subplots(1, 2)
    _draw_folds(by_fold, result)
    _draw_history(by_trial, result)
    figure.suptitle(f"{study_title(result.spec)}: {result.spec.features.target}")
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_folds(axes: "Axes", result: TuningResult) -> None:
    rows = fold_rows(result)
    places = np.arange(len(rows))
    axes.bar(places - 0.2, [row["rmse"] for row in rows], 0.4, label=f"trial {result.best.number}", color=_BEST)
    axes.bar(places + 0.2, [row["naive_rmse"] for row in rows], 0.4, label=f"naive ({result.naive})", color=_NAIVE)
    axes.set_xticks(places, [f"{row['fold']}\n{row['validation_start']}" for row in rows])
    axes.set(title="Best trial, fold by fold", ylabel="RMSE")
    axes.legend()


def _draw_history(axes: "Axes", result: TuningResult) -> None:
    from matplotlib.ticker import MaxNLocator

    complete = [(trial.number, trial.value) for trial in result.trials if trial.value is not None]
    numbers, values = zip(*complete, strict=True)
    axes.plot(numbers, values, "o", color=_TRIAL, label="complete trial")
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=_BEST, label="best so far")
    axes.axhline(result.naive_value, color=_NAIVE, linestyle="--", label=f"naive ({result.naive})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="Trials, mean over the folds", xlabel="trial", ylabel="RMSE")
    axes.legend()
