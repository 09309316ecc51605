"""The report's pictures as SVG inside its page: one for a wide page and one for a phone, in the page's own colours."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from markupsafe import Markup

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.forecasts import BestForecasts
from kallos.report.importance import Importance
from kallos.report.parallel import draw_parallel, parallel_height
from kallos.report.plots import (
    BEST,
    FAILED,
    INK,
    NAIVE,
    PAPER,
    PRUNED,
    RULE,
    SOFT,
    STYLE,
    TRIAL,
    draw_comparisons,
    draw_folds,
    draw_forecasts,
    draw_history,
    draw_importance,
    draw_scatter,
    draw_seconds,
)
from kallos.report.rows import fold_rows
from kallos.study.result import TuningResult
from kallos.words import counted, day, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

# Widths in the page's pixels, which are also the units of the SVG: text is as large as the page's own.
WIDE, NARROW = 720, 320
_POINTS_PER_INCH = 72

# Colours become the page's variables, so that it can be dark, or printed.
_VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BEST: "var(--best)",
    NAIVE: "var(--naive)",
    TRIAL: "var(--trial)",
    PRUNED: "var(--pruned)",
    FAILED: "var(--failed)",
}

Draw = Callable[["Figure", int], None]


@dataclass(frozen=True)
class Picture:
    """A plot twice, for a wide page and for a phone, each with what it shows in words for who does not see it."""

    wide: Markup
    narrow: Markup


def fold_picture(result: TuningResult) -> Picture:
    """Return what the best trial saves against naive, fold by fold."""
    rows = fold_rows(result)
    shown = ", ".join(f"fold {row['fold']} {percent(row['skill'])}" for row in rows)
    return _picture(
        "folds",
        f"Bars: share of the naive forecast's {result.spec.metric_label} that the best trial saves. {shown}.",
        lambda figure, width: draw_folds(figure.subplots(), result, width=width - 60),
        height=290,
    )


def history_picture(result: TuningResult) -> Picture:
    """Return every trial's value in their order."""
    return _picture(
        "history",
        f"Points: the mean {result.spec.metric_label} of {counted(len(result.trials), 'trial')} in their order; the "
        f"best is trial {result.best.number} with {result.best_value:.6g}, and naive ({result.naive}) has "
        f"{result.naive_value:.6g}.",
        lambda figure, width: draw_history(figure.subplots(), result, columns=_columns(width)),
        height=340,
    )


def importance_picture(importance: Importance) -> Picture:
    """Return what each parameter explains."""
    shown = ", ".join(f"{name} {percent(share, digits=0)}" for name, share in importance.shares.items())
    return _picture(
        "importance",
        f"Bars: share of the variance of the trials' values that each parameter explains. {shown}.",
        lambda figure, _: draw_importance(figure.subplots(), importance),
        height=34 * len(importance.shares) + 16,
    )


def parallel_picture(result: TuningResult, space: "dict[str, BaseDistribution]") -> Picture:
    """Return every trial's parameters at once."""
    return _picture(
        "parallel",
        f"Lines: the parameters of {counted(len(result.trials), 'trial')}, each from {', '.join(space)} to its "
        f"{result.spec.metric_label}.",
        lambda figure, width: draw_parallel(figure.subplots(), result, space, columns=_columns(width)),
        height=parallel_height(space),
    )


def forecast_picture(result: TuningResult, forecasts: BestForecasts) -> Picture:
    """Return the best trial's forecasts beside what came: in their time, and against each other."""
    fold = forecasts.last_fold

    def draw(figure: "Figure", width: int) -> None:
        if width == WIDE:
            by_time, by_value = figure.subplots(1, 2, width_ratios=(2.5, 1))
        else:
            by_time, by_value = figure.subplots(2, 1)
        draw_forecasts(by_time, fold, result.spec.features.targets[0])
        draw_scatter(by_value, fold)

    return _picture(
        "forecasts",
        f"Lines: forecasts of trial {forecasts.trial} and what came, {day(fold.timestamps[0])} to "
        f"{day(fold.timestamps[-1])}, {counted(len(fold.timestamps), 'row')}; beside them each forecast against what "
        f"came. RMSE {fold.rmse:.6g}.",
        draw,
        height=300,
        narrow_height=560,
    )


def seconds_picture(result: TuningResult) -> Picture:
    """Return how long each trial's fits took."""
    total = sum(trial.seconds for trial in result.trials)
    return _picture(
        "seconds",
        f"Bars: seconds of fits of each trial, {total:.0f} in all.",
        lambda figure, width: draw_seconds(figure.subplots(), result, columns=_columns(width)),
        height=240,
    )


def comparison_picture(evaluation: HoldoutEvaluation) -> Picture:
    """Return what the model saves on the hold-out against each other forecaster."""
    compared = evaluation.comparisons
    shown = "; ".join(
        f"{each.other} {percent(each.skill)} ({percent(each.low)} to {percent(each.high)})" for each in compared
    )
    return _picture(
        "comparisons",
        f"Points with intervals: share of {evaluation.score} that the model saves on the hold-out. {shown}.",
        lambda figure, _: draw_comparisons(figure.subplots(), evaluation),
        height=90 + 34 * len(compared),
    )


def _columns(width: int) -> int:
    """Return how many entries of a legend stand side by side."""
    return 6 if width == WIDE else 2


def _picture(name: str, text: str, draw: Draw, *, height: int, narrow_height: int | None = None) -> Picture:
    return Picture(
        wide=_svg(f"{name}-wide", text, draw, WIDE, height),
        narrow=_svg(f"{name}-narrow", text, draw, NARROW, narrow_height or height),
    )


def _svg(name: str, text: str, draw: Draw, width: int, height: int) -> Markup:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # What is drawn must not be taken for mathematics, whatever a column is called.
    with mpl.rc_context({**STYLE, "svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04)  # type: ignore[union-attr, call-arg]
        draw(figure, width)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _in_page(drawn.getvalue(), text, width, height)


def _in_page(svg: str, text: str, width: int, height: int) -> Markup:
    """Return an SVG document as an element of a page: no id twice, no style of its own, and a text in its place."""
    body = svg[svg.index("<svg") :]
    body = body[body.index(">") + 1 :]
    body = re.sub(r"\s*<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in wanted else "", body)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        body = body.replace(f": {colour}", f": {variable}")
    opening = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}">').format(text, width, height)
    return opening + Markup(body.replace("xlink:href", "href"))
