"""The tables of the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from kallos.baselines.forecasts import counting
from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.banner import interval
from kallos.report.columns import ColumnImportance, GroupImportance
from kallos.report.evaluation import skill_over
from kallos.report.forecasts import BestForecasts
from kallos.report.importance import Importance
from kallos.report.rows import architecture_rows, fold_rows, front_rows, metric_rows
from kallos.specs.metrics import Metric, metric_label, metric_of, metric_of_one_target
from kallos.specs.study import metric_with_unit
from kallos.study.lines import outcome
from kallos.study.result import PartScore, TuningResult
from kallos.words import counted, day, flattened, percent, short, skill_text

_NONE = "\u2013"
# More groups of columns are folded away.
MOST_GROUPS = 15


@dataclass(frozen=True)
class Table:
    """The text of all cells; columns from `numbers` on hold numbers, and the row `mark` is highlighted."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int
    mark: int | None = None


def fold_table(result: TuningResult) -> Table:
    """Return a row per fold, then the mean over the complete folds and the current window."""
    skill_is = result.metric.skill_is
    rows = [
        (
            str(row["fold"]),
            f"{row['validation_start']} to {row['validation_end']}",
            f"{row['value']:.6g}",
            f"{row['baseline_value']:.6g}",
            skill_text(row["skill"], skill_is),
            str(row["epochs"]),
        )
        for row in fold_rows(result)
    ]
    mean = (
        "mean",
        "",
        f"{result.best_value:.6g}",
        f"{result.baseline_value:.6g}",
        skill_text(result.skill, skill_is),
        "",
    )
    n_folds = len(result.windows)
    skill = result.metric.skill_in_words("the best trial", whose="the baseline's")
    return Table(
        f"{metric_with_unit(result.spec)} of the best trial and of the baseline; the skill is {skill}",
        ("fold", "validation", result.spec.metric_label, f"baseline ({result.baseline})", "skill", "best epoch"),
        (*rows[:n_folds], mean, *rows[n_folds:]),
        numbers=2,
        mark=n_folds,
    )


def baseline_table(result: TuningResult) -> Table:
    """Return a row per baseline, the strongest first, with means over the complete folds."""
    headings = ("baseline", result.spec.metric_label, "skill of the best trial", "counts")
    counted_ones = counting(result.baseline_values, result.spec.baselines)
    rows = tuple(
        (
            name,
            f"{result.baseline_values[name]:.6g}",
            skill_text(skill, result.metric.skill_is),
            "yes" if name in counted_ones else "no",
        )
        for name, skill in result.skills.items()
    )
    mark = [name for name, *_ in rows].index(result.baseline)
    return Table("The baselines, mean over the folds", headings, rows, numbers=1, mark=mark)


def asset_table(result: TuningResult) -> Table:
    """Return a row per asset, with means over the complete folds."""
    headings = ("asset", result.spec.metric_label, f"baseline ({result.baseline})", "skill")
    rows = tuple((each.name, *_beside_baseline(each, result.metric)) for each in result.by_asset)
    return Table("By asset, mean over the folds", headings, rows, numbers=1)


def target_table(result: TuningResult) -> Table:
    """Return a row per target, with means over the complete folds."""
    own = metric_of(metric_of_one_target(result.spec.metric))
    rows = tuple(
        (f"{each.name} (baseline: {each.baseline})", *_beside_baseline(each, own)) for each in result.by_target
    )
    headings = ("target", own.label, "baseline", "skill")
    return Table("By target, mean over the folds", headings, rows, numbers=1)


def architecture_table(result: TuningResult) -> Table:
    """Return a row per architecture if the study chose among several."""
    rows = tuple(
        (
            row["architecture"],
            str(row["trials"]),
            _score(row["value"]),
            str(row["failed"]),
        )
        for row in architecture_rows(result)
    )
    headings = ("architecture", "trials", f"best {result.spec.metric_label}", "failed")
    return Table("By architecture", headings, rows, numbers=1)


def trial_table(result: TuningResult) -> Table:
    """Return a row per trial, with a dash for a parameter that it does not have."""
    names = list(dict.fromkeys(name for trial in result.trials for name in trial.params))
    objectives, metric = result.spec.objectives, result.metric
    rows = tuple(
        (
            str(trial.number),
            outcome(trial, objectives) if trial.value is None else "complete",
            *(_score(trial.values.get(name)) for name in objectives),
            _NONE
            if trial.value is None
            else skill_text(metric.skill(trial.value, result.baseline_value), metric.skill_is),
            f"{trial.seconds:.1f}",
            *(short(trial.params.get(name, _NONE)) for name in names),
        )
        for trial in result.trials
    )
    headings = ("trial", "outcome", *map(metric_label, objectives), "skill", "seconds", *names)
    by = f" by {metric.label}" if len(objectives) > 1 else ""
    return Table(
        f"All trials, with their skill over the baseline{by}", headings, rows, numbers=2, mark=result.best.number
    )


def metric_table(result: TuningResult) -> Table:
    """Return a row per metric, with the means over the complete folds of the best trial and each counting baseline."""
    rows = metric_rows(result)
    baselines = list(rows[0]["baselines"])
    cells = tuple(
        (row["label"], row["better"], _score(row["value"]), *(_score(row["baselines"][name]) for name in baselines))
        for row in rows
    )
    headings = ("metric", "better", "best trial", *baselines)
    return Table("By every metric, mean over the folds", headings, cells, numbers=2)


def front_table(result: TuningResult) -> Table:
    """Return a row per trial that no other dominates, the best by the first objective first, the picked one marked."""
    rows = front_rows(result)
    names = list(dict.fromkeys(name for row in rows for name in row["params"]))
    cells = tuple(
        (
            f"{row['trial']}{' (picked)' if row['is_picked'] else ''}",
            *(_score(score) for score in row["values"].values()),
            *(short(row["params"].get(name, _NONE)) for name in names),
        )
        for row in rows
    )
    picked = next((position for position, row in enumerate(rows) if row["is_picked"]), None)
    headings = ("trial", *map(metric_label, result.spec.objectives), *names)
    return Table("Trials that no other trial dominates", headings, cells, numbers=1, mark=picked)


def params_table(result: TuningResult) -> Table:
    """Return the best trial's parameters."""
    rows = tuple((name, short(value)) for name, value in result.best_params.items())
    return Table(f"Parameters of the best trial ({result.best.number})", ("parameter", "best"), rows, numbers=1)


def importance_table(importance: Importance) -> Table:
    """Return each parameter's share of the variance."""
    rows = tuple((name, percent(share, digits=1)) for name, share in importance.shares.items())
    return Table("Share of variance explained", ("parameter", "share"), rows, numbers=1)


def column_table(result: TuningResult, columns: ColumnImportance, groups: Sequence[GroupImportance]) -> Table:
    """Return how much worse the score is with each of these groups permuted, its interval, and whether that matters."""
    rows = tuple(
        (each.name, columns.shown(each.increase), _increase_interval(columns, each), _does_matter(each))
        for each in groups
    )
    label = result.metric.label
    which = "a column" if groups[:1] == columns.groups[:1] else "one of the other columns"
    caption = f"How much worse the {label} is with {which} permuted"
    return Table(caption, ("column permuted", f"{label} worse by", "interval", "matters"), rows, numbers=1)


def member_table(columns: ColumnImportance) -> Table:
    """Return the columns of each group that has another name than its only one."""
    rows = tuple((each.name, ", ".join(each.columns)) for each in columns.groups if each.columns != (each.name,))
    return Table("Columns that were permuted together", ("column", "with"), rows, numbers=2)


def forecast_table(forecasts: BestForecasts) -> Table:
    """Return the forecast and the actual value of each row."""
    fold = forecasts.last_fold
    rows = tuple(
        (day(moment), f"{forecast:.6g}", f"{actual:.6g}", f"{forecast - actual:.3g}")
        for moment, forecast, actual in zip(fold.timestamps, fold.forecast, fold.actual, strict=True)
    )
    return Table(f"Forecasts of trial {forecasts.trial}", ("row", "forecast", "actual", "error"), rows, numbers=1)


def seconds_table(result: TuningResult) -> Table:
    """Return the number and the seconds of fits by outcome of the trial, and of the current window."""
    rows = []
    for state in ("complete", "pruned", "failed"):
        trials = [trial for trial in result.trials if trial.state == state]
        if trials:
            n_fits, seconds = sum(len(trial.scores) for trial in trials), sum(trial.seconds for trial in trials)
            rows.append((state, str(len(trials)), str(n_fits), f"{seconds:.1f}", _each(seconds, n_fits)))
    if result.current_score is not None:
        seconds = result.current_score.seconds
        rows.append(("current window", _NONE, "1", f"{seconds:.1f}", _each(seconds, 1)))
    headings = ("outcome", "trials", "fold fits", "seconds", "seconds per fit")
    return Table("Where the time went", headings, tuple(rows), numbers=1)


def score_table(evaluation: HoldoutEvaluation) -> Table:
    """Return a row per forecaster on the hold-out."""
    names = evaluation.metrics
    rows = tuple(
        (name, skill_over(evaluation, name), *(_score(each.values[metric]) for metric in names))
        for name, each in evaluation.scores.items()
    )
    headings = ("forecaster", "skill over it", *map(metric_label, names))
    return Table("Scores on the hold-out", headings, rows, numbers=1, mark=0)


def comparison_table(evaluation: HoldoutEvaluation) -> Table:
    """Return a row per forecaster that the model is compared with on the hold-out."""
    compared_by = evaluation.compared_by
    rows = tuple(
        (
            each.other,
            skill_text(each.skill, compared_by.skill_is),
            interval(each, compared_by),
            f"{each.statistic:.2f}",
            f"{each.p_value:.2g}",
        )
        for each in evaluation.comparisons
    )
    headings = ("compared with", "skill", "confidence interval (block bootstrap)", "Diebold-Mariano", "p-value")
    skill = compared_by.skill_in_words("the model", whose="the other's")
    caption = f"Comparisons on the hold-out; the skill is {skill}"
    return Table(caption, headings, rows, numbers=1)


def data_table(result: TuningResult) -> Table:
    """Return a description of the rows that the study saw."""
    data, spec, windows = result.data, result.spec, result.windows
    current_window = result.current_window
    rows: list[tuple[str, str]] = [
        ("asset", ", ".join(spec.data.assets)),
        ("source", spec.data.source),
        ("rows", f"{data.rows:,}"),
        ("first row", day(data.start)),
        ("last row", day(data.end)),
        ("validation windows", f"{day(windows[0].validation_start)} to {day(windows[-1].validation_end)}"),
        ("current window", "none" if current_window is None else f"from {day(current_window.validation_start)}"),
        ("hold-out", "none kept" if result.holdout_start is None else f"from {day(result.holdout_start)}"),
        ("target", spec.features.target_label),
        ("horizon", counted(spec.horizon, "step")),
        ("SHA-256 of the rows", data.sha256),
        ("study", result.study_name),
        ("seed", str(spec.seed)),
    ]
    return Table("The rows", ("property", "value"), tuple(rows), numbers=2)


def spec_table(result: TuningResult) -> Table:
    """Return every field of the specification."""
    rows = tuple((name, _in_words(value)) for name, value in flattened(result.spec.model_dump(mode="json")))
    return Table("The specification", ("field", "value"), rows, numbers=2)


def version_table(result: TuningResult) -> Table:
    """Return the versions of the packages that the study used."""
    return Table("Versions", ("package", "version"), tuple(result.versions.items()), numbers=2)


def _in_words(value: object) -> str:
    if value is None:
        return _NONE
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or _NONE
    return str(value)


def _increase_interval(columns: ColumnImportance, group: GroupImportance) -> str:
    if group.low is None or group.high is None:
        return _NONE
    return f"{columns.shown(group.low)} to {columns.shown(group.high)}"


def _does_matter(group: GroupImportance) -> str:
    return "yes" if group.matters else "not shown" if group.is_read else "not read"


def _score(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"\u2212{-value:.6g}" if value < 0 else f"{value:.6g}"


def _beside_baseline(part: PartScore, metric: Metric) -> tuple[str, str, str]:
    return f"{part.value:.6g}", f"{part.baseline_value:.6g}", skill_text(part.skill, metric.skill_is)


def _each(seconds: float, fits: int) -> str:
    return f"{seconds / fits:.2f}" if fits else _NONE
