"""The report's plots as SVG within the page: one for wide screens and one for phones, in the page's colours."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from markupsafe import Markup

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report import plots
from kallos.report.columns import ColumnImportance, GroupImportance
from kallos.report.forecasts import BestForecasts
from kallos.report.front import draw_front
from kallos.report.importance import Importance
from kallos.report.parallel import draw_parallel, parallel_height
from kallos.report.rows import fold_rows, front_rows
from kallos.specs.metrics import metric_of
from kallos.study.result import TuningResult
from kallos.study.trials import complete_trials
from kallos.words import counted, day, percent, skill_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

# Widths in the page's pixels, which are also the units of the SVG, so text has the size of the page's.
WIDE, NARROW = 720, 320
_POINTS_PER_INCH = 72

# Colours become variables of the page, for dark mode and printing.
_VARIABLES = {
    plots.INK: "var(--ink)",
    plots.SOFT: "var(--soft)",
    plots.RULE: "var(--rule)",
    plots.PAPER: "var(--paper)",
    plots.BEST: "var(--best)",
    plots.BASELINE: "var(--baseline)",
    plots.TRIAL: "var(--trial)",
    plots.PRUNED: "var(--pruned)",
    plots.FAILED: "var(--failed)",
}

Draw = Callable[["Figure", int], None]


@dataclass(frozen=True)
class Picture:
    """A plot for wide screens and for phones, each with a text description."""

    wide: Markup
    narrow: Markup


def fold_picture(result: TuningResult) -> Picture:
    """Return the plot of the best trial's skill over the baseline, fold by fold."""
    rows = fold_rows(result)
    metric = result.metric
    shown = ", ".join(f"{row['fold']}: {skill_text(row['skill'], metric.skill_is)}" for row in rows)
    skill = metric.skill_in_words("the best trial", whose="the baseline's")
    return _picture(
        "folds",
        f"Bar chart: {skill}, by fold. {shown}.",
        lambda figure, width: plots.draw_folds(figure.subplots(), result, width=width - 60),
        height=290,
    )


def history_picture(result: TuningResult) -> Picture:
    """Return the plot of all trials' values, in their order."""
    return _picture(
        "history",
        f"Scatter plot: mean {result.metric.label_with_better} of {counted(len(result.trials), 'trial')} in their "
        f"order. The {'picked one' if result.is_picked else 'best'} is trial {result.best.number} with "
        f"{result.best_value:.6g}; baseline ({result.baseline}) has {result.baseline_value:.6g}.",
        lambda figure, width: plots.draw_history(figure.subplots(), result, columns=_columns(width)),
        height=340,
    )


def front_picture(result: TuningResult) -> Picture:
    """Return the plot of all complete trials by the first two objectives, with the front and the baseline."""
    first, second = (metric_of(name) for name in result.spec.objectives[:2])
    rows = front_rows(result)
    shown = "; ".join(
        f"{row['trial']}: {row['values'][first.name]:.6g}, {row['values'][second.name]:.6g}" for row in rows
    )
    return _picture(
        "front",
        f"Scatter plot: {counted(len(complete_trials(result.trials)), 'complete trial')} by mean "
        f"{first.label_with_better} and {second.label_with_better}. No other trial dominates {shown}. Picked: trial "
        f"{result.best.number}.",
        lambda figure, width: draw_front(figure.subplots(), result, columns=3 if width == WIDE else 2),
        height=360,
    )


def importance_picture(importance: Importance) -> Picture:
    """Return the plot of the parameters' importance."""
    shown = ", ".join(f"{name} {percent(share, digits=0)}" for name, share in importance.shares.items())
    return _picture(
        "importance",
        f"Bar chart: share of the variance of the trials' values that each parameter explains. {shown}.",
        lambda figure, _: plots.draw_importance(figure.subplots(), importance),
        height=34 * len(importance.shares) + 16,
    )


def columns_picture(result: TuningResult, columns: ColumnImportance, groups: Sequence[GroupImportance]) -> Picture:
    """Return the plot of how much worse the score is with each of these groups of columns permuted."""
    shown = ", ".join(f"{each.name} {columns.shown(each.increase)}" for each in groups)
    matter = ", ".join(each.name for each in columns.mattering) or "none"
    return _picture(
        "columns",
        f"Bar chart with intervals: how much worse the {result.spec.metric_label} is with a column permuted. {shown}. "
        f"Columns that matter: {matter}.",
        lambda figure, width: plots.draw_columns(
            figure.subplots(), columns, groups, metric=result.metric, letters=28 if width == WIDE else 16
        ),
        height=26 * len(groups) + 80,
    )


def parallel_picture(result: TuningResult, space: "dict[str, BaseDistribution]") -> Picture:
    """Return the plot of all trials' parameters."""
    return _picture(
        "parallel",
        f"Parallel coordinates: {counted(len(result.trials), 'trial')} as lines through {', '.join(space)} to the "
        f"{result.spec.metric_label}.",
        lambda figure, width: draw_parallel(figure.subplots(), result, space, columns=_columns(width)),
        height=parallel_height(space),
    )


def forecast_picture(result: TuningResult, forecasts: BestForecasts) -> Picture:
    """Return the plots of the best trial's forecasts and actual values, over time and against each other."""
    fold = forecasts.last_fold

    def draw(figure: "Figure", width: int) -> None:
        if width == WIDE:
            by_time, by_value = figure.subplots(1, 2, width_ratios=(2.5, 1))
        else:
            by_time, by_value = figure.subplots(2, 1)
        plots.draw_forecasts(by_time, fold, result.spec.features.targets[0])
        plots.draw_scatter(by_value, fold)

    return _picture(
        "forecasts",
        f"Line chart: forecasts of trial {forecasts.trial} and actual values, {day(fold.timestamps[0])} to "
        f"{day(fold.timestamps[-1])}, {counted(len(fold.timestamps), 'row')}. Scatter plot: actual value against "
        f"forecast. RMSE {fold.rmse:.6g}.",
        draw,
        height=300,
        narrow_height=560,
    )


def seconds_picture(result: TuningResult) -> Picture:
    """Return the plot of the time that each trial took."""
    total = sum(trial.seconds for trial in result.trials)
    return _picture(
        "seconds",
        f"Bar chart: seconds of fitting of each trial, {total:.0f} in total.",
        lambda figure, width: plots.draw_seconds(figure.subplots(), result, columns=_columns(width)),
        height=240,
    )


def comparison_picture(evaluation: HoldoutEvaluation) -> Picture:
    """Return the plot of the model's skill over each other forecaster on the hold-out."""
    compared = evaluation.comparisons
    skill_is = evaluation.compared_by.skill_is

    def shown_skill(skill: float) -> str:
        return skill_text(skill, skill_is)

    shown = "; ".join(
        f"{each.other} {shown_skill(each.skill)} ({shown_skill(each.low)} to {shown_skill(each.high)})"
        for each in compared
    )
    return _picture(
        "comparisons",
        f"Points with confidence intervals: the model's skill on the hold-out, by {evaluation.compared_by.label}, over "
        f"{shown}.",
        lambda figure, _: plots.draw_comparisons(figure.subplots(), evaluation),
        height=90 + 34 * len(compared),
    )


def _columns(width: int) -> int:
    """Return the number of columns of a legend."""
    return 6 if width == WIDE else 2


def _picture(name: str, text: str, draw: Draw, *, height: int, narrow_height: int | None = None) -> Picture:
    return Picture(
        wide=_svg(f"{name}-wide", text, draw, WIDE, height),
        narrow=_svg(f"{name}-narrow", text, draw, NARROW, narrow_height or height),
    )


def _svg(name: str, text: str, draw: Draw, width: int, height: int) -> Markup:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A name that contains $ must not be parsed as mathematics.
    with mpl.rc_context({**plots.STYLE, "svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04)  # type: ignore[union-attr, call-arg]
        draw(figure, width)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _in_page(drawn.getvalue(), text, width, height)


def _in_page(svg: str, text: str, width: int, height: int) -> Markup:
    """Return an SVG document as an element of the page, with a description and without its own style and unused ids."""
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
