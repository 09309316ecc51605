"""The plots of a study, drawn onto axes, and a PNG of two of them."""

import math
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.columns import ColumnImportance, GroupImportance
from kallos.report.forecasts import FoldForecasts
from kallos.report.importance import Importance
from kallos.report.rows import fold_rows
from kallos.specs.metrics import Metric
from kallos.study.result import TuningResult
from kallos.study.trials import complete_trials
from kallos.words import percent, skill_text, skill_tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The palette of Okabe and Ito (2008), which colour-blind people can distinguish.
INK, SOFT, RULE, PAPER = "#1b1f24", "#59636e", "#d5dbe1", "#fefefe"
BEST, BASELINE, TRIAL, PRUNED, FAILED = "#0072b2", "#d55e00", "#8a929b", "#c3cad1", "#cc79a7"

# Untyped, because Matplotlib types each key.
STYLE: Any = {
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 12,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 12,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "legend.fontsize": 11.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": 11.5,
    "xtick.major.size": 0,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": 11.5,
    "ytick.major.size": 0,
}

# The width of a bar's label: with a date or percentage, and with only a number.
_PIXELS_PER_LABEL, _PIXELS_PER_NUMBER = 62, 26


def report_png(result: TuningResult) -> bytes:
    """Return a PNG of 1200 x 450 pixels: skill per fold and all trials."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "figure.facecolor": "white", "text.parse_math": False}):
        # A point is a pixel, as on the page.
        figure = Figure(figsize=(1200 / 72, 450 / 72), dpi=72, layout="constrained")
        of_folds, of_trials = figure.subplots(1, 2)
        draw_folds(of_folds, result, width=520)
        draw_history(of_trials, result, columns=6)
        label = result.spec.metric_label
        skill = _skill_of(result.metric, "the baseline's")
        of_folds.set_title(f"Best trial: {skill}", loc="left", fontsize=14, pad=30)
        of_trials.set_title(f"All trials: mean {label} over the folds", loc="left", fontsize=14, pad=30)
        figure.suptitle(
            f"{result.spec.model_label} on {result.spec.data.asset_label}: {result.spec.features.target_label}",
            x=0.012,
            ha="left",
            fontsize=18,
            weight="bold",
        )
        figure.get_layout_engine().set(w_pad=0.2, h_pad=0.2)  # type: ignore[union-attr, call-arg]
        picture = BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def draw_folds(axes: "Axes", result: TuningResult, *, width: int) -> None:
    """Draw the best trial's skill over the baseline in each fold, the current window as an outline."""
    rows = fold_rows(result)
    skills, skill_is = [row["skill"] for row in rows], result.metric.skill_is
    places = np.arange(len(rows))
    for position, row, skill in zip(places, rows, skills, strict=True):
        colour, is_open = (BEST if skill > 0 else BASELINE), row["fold"] == "current window"
        axes.bar(
            position,
            skill,
            0.62,
            color="none" if is_open else colour,
            edgecolor=colour,
            linewidth=1.4,
            linestyle="--" if is_open else "-",
        )
    if len(rows) * _PIXELS_PER_LABEL <= width:
        for position, skill in zip(places, skills, strict=True):
            side, by = ("bottom", 5) if skill > 0 else ("top", -5)
            put_text(axes, skill_text(skill, skill_is), (position, skill), (0, by), ha="center", va=side)
    axes.axhline(0, color=SOFT, linewidth=1.2)
    axes.grid(axis="x", visible=False)
    stride = math.ceil(len(rows) * _PIXELS_PER_NUMBER / width)
    labels = [_fold_label(row, has_room=len(rows) * _PIXELS_PER_LABEL <= width) for row in rows[::stride]]
    axes.set_xticks(places[::stride], labels)
    axes.margins(y=0.16)
    axes.yaxis.set_major_formatter(lambda value, _: skill_tick(value, skill_is))
    axes.set_ylabel(f"skill over the baseline ({result.baseline})")


def draw_history(axes: "Axes", result: TuningResult, *, columns: int) -> None:
    """Draw the trials' values in their order, the best so far, and the baseline's; outliers at the edge."""
    from matplotlib.ticker import MaxNLocator

    complete = [(trial.number, trial.value) for trial in result.trials if trial.value is not None]
    numbers = np.array([number for number, _ in complete])
    values = np.array([value for _, value in complete])
    metric, edge = result.metric, value_limit(result)
    bottom, top = sorted((edge, metric.best((*values, result.baseline_value))))
    room = 0.06 * (top - bottom)
    far = np.array([metric.is_better(edge, value) for value in values])
    # The marks of trials without a value lie below all others.
    beyond, below = (-room, 2 * room) if metric.is_maximised and far.any() else (room, 0.0)
    axes.scatter(numbers[~far], values[~far], 22, color=TRIAL, linewidth=0, label="complete")
    if far.any():
        marker = "v" if metric.is_maximised else "^"
        places = np.full(far.sum(), edge + beyond)
        axes.scatter(numbers[far], places, 26, color=TRIAL, marker=marker, label="off the scale")
    for state, marker, colour in (("pruned", "|", TRIAL), ("failed", "x", FAILED)):
        ended = [trial.number for trial in result.trials if trial.state == state]
        if ended:
            axes.scatter(
                ended,
                np.full(len(ended), bottom - below - 2 * room),
                34,
                color=colour,
                marker=marker,
                linewidth=1.5,
                label=state,
            )
    last = result.trials[-1].number
    best = (np.maximum if metric.is_maximised else np.minimum).accumulate(values)
    axes.step([*numbers, last], [*best, best[-1]], where="post", color=BEST, linewidth=2, label="best so far")
    axes.axhline(
        result.baseline_value,
        color=BASELINE,
        linestyle=(0, (5, 3)),
        linewidth=1.6,
        label=f"baseline ({result.baseline})",
    )
    axes.plot(result.best.number, result.best_value, "o", color=BEST, markersize=9, markeredgecolor=PAPER)
    axes.set_ylim(bottom - below - 3.2 * room, top + 2 * room)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="trial", ylabel=f"{result.spec.metric_label}, mean over the folds")
    put_legend(axes, columns)


def draw_importance(axes: "Axes", importance: Importance) -> None:
    """Draw the share of variance that each parameter explains."""
    names = list(importance.shares)[::-1]
    shares = [importance.shares[name] for name in names]
    axes.barh(names, shares, 0.6, color=BEST)
    for position, share in enumerate(shares):
        put_text(axes, percent(share, digits=0), (share, position), (5, 0), va="center")
    axes.set_xlim(0, max(shares) * 1.14)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelcolor=INK)


def draw_columns(
    axes: "Axes", columns: ColumnImportance, groups: Sequence[GroupImportance], *, metric: Metric, letters: int
) -> None:
    """Draw how much worse the score is with each group of columns permuted, with its interval.

    Filled bars matter, and outlines do not. A longer name than `letters` is cut.
    """
    places = np.arange(len(groups))[::-1]
    for position, each in zip(places, groups, strict=True):
        colour = BEST if each.matters else TRIAL
        bar = each.increase / columns.unit
        axes.barh(position, bar, 0.6, color=colour if each.matters else "none", edgecolor=colour, linewidth=1.2)
        if each.low is not None and each.high is not None:
            ends = [each.low / columns.unit, each.high / columns.unit]
            axes.plot(ends, [position, position], color=INK if each.matters else SOFT, linewidth=1.6)
    axes.axvline(0, color=SOFT, linewidth=1.2)
    axes.set_yticks(places, [_cut(each.name, letters) for each in groups])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: columns.shown(value * columns.unit, digits=None))
    axes.set_xlabel(f"{metric.label} worse by")


def draw_forecasts(axes: "Axes", forecasts: FoldForecasts, target: str) -> None:
    """Draw actual values and forecasts as lines; that of the forecasts breaks where a new block begins."""
    moments = _moments(forecasts.timestamps)
    axes.plot(moments, forecasts.actual, color=TRIAL, linewidth=1.2, label="actual")
    block = forecasts.block if forecasts.block > 1 else len(moments)
    for start in range(0, len(moments), block):
        stop = start + block
        axes.plot(
            moments[start:stop],
            forecasts.forecast[start:stop],
            color=BEST,
            linewidth=1.8,
            label="forecast" if start == 0 else None,
        )
    _show_dates(axes, moments)
    axes.set_ylabel(target)
    put_legend(axes, columns=2)


def draw_scatter(axes: "Axes", forecasts: FoldForecasts) -> None:
    """Draw each actual value against its forecast, with the line of equality."""
    both = [*forecasts.actual, *forecasts.forecast]
    margin = 0.05 * (max(both) - min(both)) or 1.0
    low, high = min(both) - margin, max(both) + margin
    axes.axline((low, low), (high, high), color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
    axes.scatter(forecasts.forecast, forecasts.actual, 14, color=BEST, alpha=0.55, linewidth=0)
    axes.set(xlabel="forecast", ylabel="actual", xlim=(low, high), ylim=(low, high))
    axes.set_box_aspect(1)
    axes.locator_params(nbins=4)


def draw_seconds(axes: "Axes", result: TuningResult, *, columns: int) -> None:
    """Draw the seconds of fitting of each trial, by outcome."""
    from matplotlib.ticker import MaxNLocator

    kinds: Sequence[tuple[str, str]] = (("complete", TRIAL), ("pruned", PRUNED), ("failed", FAILED))
    for state, colour in kinds:
        trials = [trial for trial in result.trials if trial.state == state and trial.number != result.best.number]
        if trials:
            axes.bar(
                [trial.number for trial in trials], [trial.seconds for trial in trials], 0.8, color=colour, label=state
            )
    axes.bar(result.best.number, result.best.seconds, 0.8, color=BEST, label="best")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="trial", ylabel="seconds of fitting")
    put_legend(axes, columns)


def draw_comparisons(axes: "Axes", evaluation: HoldoutEvaluation) -> None:
    """Draw the model's skill over each other forecaster on the hold-out, with its confidence interval."""
    compared = evaluation.comparisons[::-1]
    names = {evaluation.baseline: f"baseline ({evaluation.baseline})", "champion": "champion"}
    for position, each in enumerate(compared):
        colour = BEST if each.low > 0 else BASELINE if each.high < 0 else TRIAL
        axes.plot([each.low, each.high], [position, position], color=colour, linewidth=3)
        axes.plot(each.skill, position, "o", color=colour, markersize=9, markeredgecolor=PAPER)
    axes.axvline(0, color=SOFT, linewidth=1.2)
    axes.set_yticks(range(len(compared)), [names.get(each.other, each.other) for each in compared])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.6, len(compared) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)
    metric = evaluation.compared_by
    axes.xaxis.set_major_formatter(lambda value, _: skill_tick(value, metric.skill_is))
    skill = _skill_of(metric, "the other's")
    axes.set_xlabel(f"skill ({skill})")


def put_legend(axes: "Axes", columns: int) -> None:
    """Put a legend above the axes."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=columns, borderaxespad=0.1, columnspacing=1.2)


def put_text(axes: "Axes", text: str, at: tuple[Any, Any], offset: tuple[int, int], **style: Any) -> None:
    """Write a text at a point of the data, moved by an offset in points."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", **{"fontsize": 11.5, "color": INK, **style})


def value_limit(result: TuningResult) -> float:
    """Return the worst value of trials that a plot shows."""
    values = [trial.only_value for trial in complete_trials(result.trials)]
    return worst_shown(result.metric, values, result.baseline_value)


def worst_shown(metric: Metric, scores: Iterable[float], baseline: float) -> float:
    """Return the worst score that a plot shows, so that outliers do not flatten the rest."""
    losses, usual_at_most = np.array([metric.as_loss(score) for score in scores]), metric.as_loss(baseline)
    low = min(losses.min(), usual_at_most)
    usual = max(np.quantile(losses, 0.75), usual_at_most)
    most = max(losses.max(), usual_at_most)
    limit = min(most, low + 2.5 * (usual - low)) if usual > low else low + 0.01 * (abs(low) or 1)
    # A loss becomes a score as a score becomes a loss.
    return float(metric.as_loss(limit))


def _skill_of(metric: Metric, whose: str) -> str:
    """Return what the skill is, in as few words as fit an axis."""
    return f"share of {whose} {metric.label} saved" if metric.skill_is == "share" else f"{metric.label} less {whose}"


def _cut(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}\u2026"


def _fold_label(row: dict[str, Any], *, has_room: bool) -> str:
    name = str(row["fold"])
    return f"{name}\n{str(row['validation_start'])[:10]}" if has_room else name.removesuffix(" window")


def _moments(timestamps: Sequence[str | int]) -> Any:
    return np.array(timestamps, dtype="datetime64[ns]") if isinstance(timestamps[0], str) else np.array(timestamps)


def _show_dates(axes: "Axes", moments: Any) -> None:
    if moments.dtype.kind != "M":
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
