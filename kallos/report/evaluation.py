"""An evaluation as a file, as markdown, and as a table of scores."""

import posixpath
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from kallos.errors import KallosError, UsageError, explain
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.models.files import read_manifest
from kallos.specs.metrics import metric_label
from kallos.storage import Folder, read_at
from kallos.study.names import evaluated_model, evaluation_name, model_folder
from kallos.study.result import TuningResult
from kallos.words import SkillIs, compared_to, counted, day, scrubbed, signed


def write_evaluation(evaluation: HoldoutEvaluation, folder: str) -> str:
    """Write `MODEL_ID_evaluation.json` into the folder (or fsspec URL) and return its address.

    Raises `KallosError` if that fails.
    """
    text = evaluation.model_dump_json(indent=2) + "\n"
    return Folder(folder).write(evaluation_name(evaluation.model_id), text)


def headline(evaluation: HoldoutEvaluation) -> str:
    """Return the verdict in one line, with the skill and the hold-out."""
    skill = skill_line(evaluation.against_baseline, evaluation.compared_by.skill_is, evaluation.tests)
    return f"{evaluation.verdict.decision}: {skill}, over {span(evaluation)}"


def skill_line(comparison: Comparison, skill_is: SkillIs, tests: int) -> str:
    """Return how the model compares with another forecaster, with the p-value corrected for the tests."""
    low, high = signed(comparison.low, skill_is), signed(comparison.high, skill_is)
    return (
        f"{compared_to(comparison.skill, comparison.other, skill_is)} ({comparison.confidence:.0%} confidence interval "
        f"{low} to {high}, p = {min(comparison.p_value * tests, 1):.2g})"
    )


def span(evaluation: HoldoutEvaluation) -> str:
    """Return the hold-out in words."""
    return (
        f"{counted(evaluation.n_origins, 'forecast')} from {day(evaluation.test_start)} to {day(evaluation.test_end)}"
    )


def score_rows(evaluation: HoldoutEvaluation) -> list[dict[str, Any]]:
    """Return a row per forecaster, the best by the study's metric first; an undefined score is None."""
    return [{"forecaster": name, **evaluation.scores[name].values} for name in evaluation.by_metric]


def score_names(evaluation: HoldoutEvaluation) -> dict[str, str]:
    """Return the heading of each metric; that of a custom one is the name of its function."""
    return {name: metric_label(name).rpartition(":")[2] for name in evaluation.metrics}


def loss_line(evaluation: HoldoutEvaluation) -> str:
    """Return which loss the tests compare, and the unit of errors if it is not the target's."""
    metric = evaluation.study_metric
    why = f"{metric.label} is not a mean over forecasts, so the" if metric.loss is None else "The"
    unit = "" if isinstance(evaluation.target, str) else " Errors are in standard deviations of each target."
    return f"{why} tests compare the {evaluation.loss}.{unit}"


def evaluation_markdown(evaluation: HoldoutEvaluation) -> str:
    """Return the evaluation as markdown: verdict, reasons, comparisons, and every forecaster's scores."""
    names = score_names(evaluation)
    table = "\n".join(
        f"| {row['forecaster']} | {skill_over(evaluation, row['forecaster'])} | "
        + " | ".join(shown_score(row[name]) for name in names)
        + " |"
        for row in score_rows(evaluation)
    )
    reasons = "\n".join(f"- {reason}" for reason in evaluation.verdict.reasons)
    skill_is = evaluation.compared_by.skill_is
    against = "\n".join(f"- {skill_line(each, skill_is, evaluation.tests)}" for each in evaluation.comparisons)
    return f"""# {evaluation.verdict.decision}: {evaluation.model_id}

{reasons}

The model, by {span(evaluation)}, is:

{against}

| forecaster | skill over it | {" | ".join(names.values())} |
| --- | --- |{" --- |" * len(names)}
{table}

{loss_line(evaluation)}

Target `{evaluation.target_label}` of {evaluation.asset_id}, {counted(evaluation.horizon, "step")} ahead. Level
{evaluation.level:.0%}; {counted(evaluation.holdout_evaluations, "evaluation")} on this hold-out,
{counted(evaluation.tests, "test")}.
"""


def skill_over(evaluation: HoldoutEvaluation, forecaster: str) -> str:
    """Return the model's skill over a forecaster by the study's metric, `-` for the model itself."""
    scores, metric = evaluation.by_metric, evaluation.study_metric
    is_perfect = metric.skill_is == "share" and scores[forecaster] == 0
    if forecaster == "model" or is_perfect:
        return "-"
    return signed(metric.skill(scores["model"], scores[forecaster]), metric.skill_is)


def shown_score(value: float | None) -> str:
    """Return a score to show, `-` if it is undefined."""
    return "-" if value is None else f"{value:.4g}"


def read_evaluation(address: str, result: TuningResult) -> HoldoutEvaluation:
    """Return the evaluation in a file.

    Raises `UsageError` if the file is missing, is not an evaluation, or is of another asset, target or horizon.
    """
    shown = scrubbed(address)
    content = read_at(address)
    if content is None:
        raise UsageError(f"an evaluation must exist, and {shown} does not: run 'kallos-run evaluate' first")
    try:
        evaluation = HoldoutEvaluation.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(
            f"an evaluation must be one that 'kallos-run evaluate' wrote, and {shown} is not: {explain(error)}"
        ) from None
    spec = result.spec
    ours = (spec.data.asset_id, spec.features.target, spec.horizon)
    its = (evaluation.asset_id, evaluation.target, evaluation.horizon)
    if its != ours:
        raise UsageError(
            f"an evaluation must have the study's asset, target and horizon, {ours}, and {shown} has {its}: choose "
            f"that of a model of this study"
        )
    return evaluation


def find_evaluation(result: TuningResult, results: str) -> HoldoutEvaluation | None:
    """Return the latest evaluation of a model of the study among the results, or None.

    The manifests of the models tell which study they are from. Unreadable files are skipped. Raises
    `KallosError` if the results folder cannot be read.
    """
    found = []
    for name in Folder(results).names():
        model_id = evaluated_model(name)
        if model_id is not None:
            with suppress(KallosError):
                if read_manifest(model_folder(results, model_id)).study == result.study_name:
                    found.append(read_evaluation(posixpath.join(results, name), result))
    # The count grows with each evaluation.
    return max(found, key=lambda evaluation: evaluation.holdout_evaluations, default=None)
