"""A study's result as rows of tables and as markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kallos.architectures.study_space import ARCHITECTURE
from kallos.baselines.forecasts import counting
from kallos.specs.metrics import metric_label, metric_of_one_target
from kallos.specs.study import metric_with_unit, study_title
from kallos.study.best_params import BestParams, since_last_run
from kallos.study.lines import verdict
from kallos.study.result import PartScore, TuningResult
from kallos.study.trials import TrialRecord
from kallos.words import counted, day, short, signed


def fold_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per fold, the current window last: dates, the errors of the best trial and the baseline, the skill.

    The skill is the share of the baseline's error that the trial saves; below zero, the trial is worse.
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
            "skill": 1 - score.value / window.baseline_values[result.baseline],
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
            "value": min((trial.value for trial in trials if trial.value is not None), default=None),
            "failed": sum(trial.state == "failed" for trial in trials),
        }
        for name, trials in sorted(by_name.items())
    ]


def trial_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per trial: number, state, value, skill, seconds, and all parameters of the study."""
    names = dict.fromkeys(name for trial in result.trials for name in trial.params)
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            result.spec.metric: trial.value,
            "skill over the baseline": None
            if trial.value is None
            else round(1 - trial.value / result.baseline_value, 4),
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
        f"| {row['baseline_value']:.6g} | {signed(row['skill'])} |"
        for row in fold_rows(result)
    )
    counted_ones = counting(result.baseline_values, spec.baselines)
    baselines = ", ".join(f"{name} {value:.6g}" for name, value in counted_ones.items())
    shown_only = ", ".join(
        f"{name} {value:.6g}" for name, value in result.baseline_values.items() if name not in counted_ones
    )
    beside = f"; for comparison only: {shown_only}" if shown_only else ""
    whole = "" if page is None else f"{_link(page)}\n\n"
    of_target = metric_label(metric_of_one_target(spec.metric))
    parts = _parts_markdown("asset", spec.metric_label, result.by_asset) + _parts_markdown(
        "target", of_target, result.by_target
    )
    return f"""# {study_title(spec)}

**{label} {result.best_value:.6g}** (mean over {counted(len(result.windows), "fold")}), {verdict(result)}.

{since_last_run(result, last)}

{whole}Baselines: {baselines}{beside}. Trial {result.best.number} is the best of {counted(len(result.trials), "trial")}.

| parameter | best |
| --- | --- |
{params}

| fold | validation | {spec.metric_label} | baseline ({result.baseline}) | skill |
| --- | --- | --- | --- | --- |
{folds}

{parts}Target `{spec.features.target_label}`, {counted(spec.horizon, "step")} ahead; {data.rows} rows,
{day(data.start)} to {day(data.end)} (`{data.sha256[:12]}`); seed {spec.seed}.
"""


def _parts_markdown(kind: str, label: str, parts: Sequence[PartScore]) -> str:
    """Return a table of the scores by asset or target, empty if there is only one."""
    if len(parts) == 1:
        return ""
    rows = "\n".join(
        f"| {part.name} | {part.value:.6g} | {part.baseline_value:.6g} ({part.baseline}) | {signed(part.skill)} |"
        for part in parts
    )
    return f"| {kind} | {label} | baseline | skill |\n| --- | --- | --- | --- |\n{rows}\n\n"


def _link(page: str) -> str:
    """Return a link to the report, with its path for readers on other machines."""
    address = page if "://" in page else Path(page).expanduser().absolute().as_uri()
    return f"[The full report]({address}): `{page}`"
