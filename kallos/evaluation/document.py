"""What is shown and stored of an evaluation: its document, markdown, and the table of scores."""

from typing import Any

from kallos.evaluation.pictures import comparisons
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.gains import beside, signed
from kallos.report import counted, day
from kallos.result_folder import write_text
from kallos.result_names import evaluation_name


def write_evaluation(evaluation: HoldoutEvaluation, folder: str) -> str:
    """Write `MODEL_ID_evaluation.json` into the folder (or fsspec URL) and return its address.

    Raises `KallosError` if that fails.
    """
    text = evaluation.model_dump_json(indent=2) + "\n"
    return write_text(folder, evaluation_name(evaluation.model_id), text)


def headline(evaluation: HoldoutEvaluation) -> str:
    """Return the verdict in a line, with what it rests on."""
    gain = gain_line(evaluation.against_naive, evaluation.tests)
    return f"{evaluation.verdict.decision}: {gain}, over {span(evaluation)}"


def gain_line(comparison: Comparison, tests: int = 1) -> str:
    """Return in a phrase how the model did against another, so many tests counted."""
    return (
        f"{beside(comparison.gain, comparison.other)} ({comparison.confidence:.0%} interval "
        f"{signed(comparison.low)} to {signed(comparison.high)}, p {min(comparison.p_value * tests, 1):.2g})"
    )


def span(evaluation: HoldoutEvaluation) -> str:
    """Return the hold-out in words."""
    return (
        f"{counted(evaluation.n_origins, 'forecast')} from {day(evaluation.test_start)} to {day(evaluation.test_end)}"
    )


def score_rows(evaluation: HoldoutEvaluation) -> list[dict[str, Any]]:
    """Return a row per forecaster, the least error by the study's metric first; a score not defined is None."""
    rows = [{"forecaster": name, **scores.model_dump()} for name, scores in evaluation.scores.items()]
    return sorted(rows, key=lambda row: evaluation.errors[row["forecaster"]])


def score_names(evaluation: HoldoutEvaluation) -> dict[str, str]:
    """Return what is in the rows, for people; one's own metric by the name of its function."""
    metric = evaluation.metric_label.rpartition(":")[2]
    names = {name: name.replace("_", " ") for name in score_rows(evaluation)[0] if name != "forecaster"}
    return {**names, **({"measured": metric} if "measured" in names else {})}


def loss_line(evaluation: HoldoutEvaluation) -> str:
    """Return in words which loss the verdict's test is of, and the unit of errors where it is not the target's."""
    why = f"{evaluation.metric} is no mean over forecasts: the" if ":" in evaluation.metric else "The"
    unit = "" if isinstance(evaluation.target, str) else " Errors are in standard deviations of each target."
    return f"{why} test is of the {evaluation.loss}.{unit}"


def evaluation_markdown(evaluation: HoldoutEvaluation) -> str:
    """Return the evaluation as markdown: verdict and reasons, comparisons, and every forecaster's scores."""
    names = score_names(evaluation)
    table = "\n".join(
        f"| {row['forecaster']} | " + " | ".join(shown_score(row[name]) for name in names) + " |"
        for row in score_rows(evaluation)
    )
    reasons = "\n".join(f"- {reason}" for reason in evaluation.verdict.reasons)
    against = "\n".join(f"- {gain_line(comparison, evaluation.tests)}" for comparison in comparisons(evaluation))
    return f"""# {evaluation.verdict.decision}: {evaluation.model_id}

{reasons}

The model on {span(evaluation)}:

{against}

| forecaster | {" | ".join(names.values())} |
| --- |{" --- |" * len(names)}
{table}

{loss_line(evaluation)}

Target `{evaluation.target_label}` of {evaluation.asset_id}, {evaluation.horizon} ahead. Level {evaluation.level:.0%};
{counted(evaluation.looks, "look")} at this hold-out, {counted(evaluation.tests, "test")}.
"""


def shown_score(value: float | None) -> str:
    """Return a score for people."""
    return "-" if value is None else f"{value:.4g}"
