"""A study's result as rows of tables and as markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kallos.architectures.study_space import ARCHITECTURE
from kallos.baselines.forecasts import counting
from kallos.specs.metrics import Metric, metric_label, metric_of, metric_of_one_target
from kallos.specs.study import metric_with_unit, study_title
from kallos.study.best_params import BestParams, since_last_run
from kallos.study.lines import picked_by, verdict
from kallos.study.result import PartScore, TuningResult
from kallos.study.trials import TrialRecord, best_of
from kallos.words import counted, day, short, signed


def fold_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per fold, the current window last: dates, the scores of the best trial and the baseline, the skill.

    The skill is that of the study's metric (`Metric.skill`); below zero, the trial is worse.
    """
    shown = [
        (str(number), window, score)
        for number, (window, score) in enumerate(zip(result.windows, result.best.scores, strict=True), start=1)
    ]
    if result.current_window is not None and result.current_score is not None:
        shown.append(("current window", result.current_window, result.current_score))
    return [
        {
            "fold": name,
            "validation_start": day(window.validation_start),
            "validation_end": day(window.validation_end),
            "value": score.value,
            "baseline_value": window.baseline_values[result.baseline],
            "skill": result.metric.skill(score.value, window.baseline_values[result.baseline]),
            "epochs": score.best_epoch,
        }
        for name, window, score in shown
    ]


def architecture_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per architecture if the study chose among several: trials, best value, and failures."""
    if not result.trials or ARCHITECTURE not in result.best.params:
        return []
    by_name: dict[str, list[TrialRecord]] = {}
    for trial in result.trials:
        by_name.setdefault(trial.params[ARCHITECTURE], []).append(trial)
    return [
        {
            "architecture": name,
            "trials": len(trials),
            "value": None if (best := best_of(trials, result.metric)) is None else best.value,
            "failed": sum(trial.state == "failed" for trial in trials),
        }
        for name, trials in sorted(by_name.items())
    ]


def metric_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per metric of the study: label, better scores, and means over the folds, None where undefined.

    The means are those of the best trial (`value`) and of the baselines that count, by name (`baselines`).
    """
    counted_ones = counting(result.baseline_metrics, result.spec.baselines)
    return [
        {
            "metric": name,
            "label": metric_label(name),
            "better": metric_of(name).better,
            "value": result.best.values[name],
            "baselines": {baseline: scores[name] for baseline, scores in counted_ones.items()},
        }
        for name in result.spec.scored_metrics
    ]


def front_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per trial that no other dominates, the best by the first objective first.

    Each has the trial's number, whether it was picked, its score by each objective, and its parameters.
    """
    on_front = [trial for trial in result.trials if trial.number in result.front]
    on_front.sort(key=lambda trial: result.metric.as_loss(trial.only_value))
    return [
        {
            "trial": trial.number,
            "is_picked": trial.number == result.best.number,
            "values": {name: trial.values[name] for name in result.spec.objectives},
            "params": trial.params,
        }
        for trial in on_front
    ]


def trial_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per trial: number, state, scores, skill, seconds, and all parameters of the study."""
    names = dict.fromkeys(name for trial in result.trials for name in trial.params)
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            **{name: trial.values.get(name) for name in (*result.spec.objectives, *result.spec.metrics)},
            "skill over the baseline": None
            if trial.value is None
            else round(result.metric.skill(trial.value, result.baseline_value), 4),
            "seconds": round(trial.seconds, 1),
            **{name: trial.params.get(name) for name in names},
            "reason": trial.reason,
        }
        for trial in result.trials
    ]


def best_params_markdown(result: TuningResult, last: BestParams | None = None, page: str | None = None) -> str:
    """Return the result as markdown: verdict, comparison with the last run, parameters, folds, and the report."""
    spec, data, label = result.spec, result.data, metric_with_unit(result.spec)
    params = "\n".join(f"| {name} | {short(value)} |" for name, value in result.best.params.items())
    folds = "\n".join(
        f"| {row['fold']} | {row['validation_start']} to {row['validation_end']} | {row['value']:.6g} "
        f"| {row['baseline_value']:.6g} | {signed(row['skill'], result.metric.skill_is)} |"
        for row in fold_rows(result)
    )
    counted_ones = counting(result.baseline_values, spec.baselines)
    baselines = ", ".join(f"{name} {value:.6g}" for name, value in counted_ones.items())
    shown_only = ", ".join(
        f"{name} {value:.6g}" for name, value in result.baseline_values.items() if name not in counted_ones
    )
    beside = f"; for comparison only: {shown_only}" if shown_only else ""
    how = "picked from" if result.is_picked else "the best of"
    whole = "" if page is None else f"{_link(page)}\n\n"
    of_target = metric_of(metric_of_one_target(spec.metric))
    tables = [
        _metrics_markdown(result),
        _front_markdown(result),
        _parts_markdown("asset", result.metric, result.by_asset),
        _parts_markdown("target", of_target, result.by_target),
    ]
    return f"""# {study_title(spec)}

**{label} {result.best_value:.6g}** (mean over {counted(len(result.windows), "fold")}), {verdict(result)}.

{since_last_run(result, last)}

{whole}Baselines: {baselines}{beside}. Trial {result.best.number} is {how} {counted(len(result.trials), "trial")}.

| parameter | best |
| --- | --- |
{params}

| fold | validation | {spec.metric_label} | baseline ({result.baseline}) | skill |
| --- | --- | --- | --- | --- |
{folds}

{"".join(tables)}Target `{spec.features.target_label}`, {counted(spec.horizon, "step")} ahead; {data.rows} rows,
{day(data.start)} to {day(data.end)} (`{data.sha256[:12]}`); seed {spec.seed}.
"""


def _metrics_markdown(result: TuningResult) -> str:
    """Return a table of the scores by each metric, empty if the study asks for one only."""
    if len(result.spec.objectives) == 1 and not result.spec.metrics:
        return ""
    rows = "\n".join(
        f"| {row['label']} ({row['better']} is better) | {_score(row['value'])} "
        f"| {_score(row['baselines'][result.baseline])} |"
        for row in metric_rows(result)
    )
    return f"| metric | best trial | baseline ({result.baseline}) |\n| --- | --- | --- |\n{rows}\n\n"


def _front_markdown(result: TuningResult) -> str:
    """Return a table of the trials that no other dominates, empty with one objective."""
    objectives = result.spec.objectives
    if len(objectives) == 1:
        return ""
    rows = "\n".join(
        f"| {row['trial']}{' (picked)' if row['is_picked'] else ''} | "
        + " | ".join(_score(score) for score in row["values"].values())
        + f" | {', '.join(f'{name}={short(value)}' for name, value in row['params'].items())} |"
        for row in front_rows(result)
    )
    headings = " | ".join(metric_of(name).label_with_better for name in objectives)
    return (
        f"Trial {result.best.number} is {picked_by(result)}.\n\n"
        f"| trial | {headings} | parameters |\n| --- | {'--- | ' * len(objectives)}--- |\n{rows}\n\n"
    )


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _parts_markdown(kind: str, metric: Metric, parts: Sequence[PartScore]) -> str:
    """Return a table of the scores by asset or target, empty if there is only one."""
    if len(parts) == 1:
        return ""
    rows = "\n".join(
        f"| {part.name} | {part.value:.6g} | {part.baseline_value:.6g} ({part.baseline}) "
        f"| {signed(part.skill, metric.skill_is)} |"
        for part in parts
    )
    return f"| {kind} | {metric.label} | baseline | skill |\n| --- | --- | --- | --- |\n{rows}\n\n"


def _link(page: str) -> str:
    """Return a link to the report, with its path for readers on other machines."""
    address = page if "://" in page else Path(page).expanduser().absolute().as_uri()
    return f"[The full report]({address}): `{page}`"
