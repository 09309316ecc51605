"""What is shown and stored of a result: the best-parameters document, markdown, and tables."""

import hashlib
import json
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

from kallos.errors import KallosError
from kallos.planning import FoldWindow
from kallos.scoring import FoldScore
from kallos.specs import TuneSpec
from kallos.trials import TrialRecord
from kallos.tuner import TuningResult

# A file's name may have 255 bytes, and a result's has two parts and a temporary ending.
_LONGEST_PART = 80


def best_params_document(result: TuningResult) -> dict[str, Any]:
    """Return the content of `MODEL_ASSET_best_params.json`; `best_params` is what `create_model` takes."""
    spec = result.spec
    open_fold = (
        None
        if result.open_window is None or result.open_score is None
        else _fold(result.open_window, result.open_score, result.naive)
    )
    return {
        "best_params": result.best_params,
        "best_value": result.best_value,
        "best_trial": result.best.number,
        "metric": "rmse",
        "naive_value": result.naive_value,
        "naive": result.naive,
        "naive_values": result.naive_values,
        "model_name": spec.model_name,
        "asset_id": spec.data.asset_id,
        "folds": [
            _fold(window, score, result.naive) for window, score in zip(result.windows, result.best.scores, strict=True)
        ],
        "open_fold": open_fold,
        "open_fold_failure": result.open_reason,
        "study": result.study_name,
        "n_trials": len(result.trials),
        "n_pruned": sum(trial.state == "pruned" for trial in result.trials),
        "n_failed": sum(trial.state == "failed" for trial in result.trials),
        "warm_start": list(result.warm_start),
        "seed": spec.seed,
        "data": result.data.model_dump(),
        "spec": spec.model_dump(mode="json"),
        "versions": result.versions,
    }


def best_params_path(spec: TuneSpec, folder: Path) -> Path:
    """Return where a study's best parameters are written: `FOLDER/MODEL_ASSET_best_params.json`."""
    return folder / f"{file_part(spec.model_name)}_{file_part(spec.data.asset_id)}_best_params.json"


def write_best_params(result: TuningResult, folder: Path) -> Path:
    """Write the document as JSON into the folder, whole or not at all, and return its path.

    Raises `KallosError` if the folder cannot be written.
    """
    prepare_folder(folder)
    path = best_params_path(result.spec, folder)
    text = json.dumps(best_params_document(result), indent=2, allow_nan=False) + "\n"
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise KallosError(f"the output folder must be writable: {folder}: {error.strerror}") from None
    return path


def artifact_key(kind: str, spec: TuneSpec) -> str:
    """Return a Prefect artifact key such as `best-params-gru-btc`, stable per model and asset."""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind}-{spec.model_name}-{spec.data.asset_id}".lower()).strip("-")


def file_part(name: str) -> str:
    """Return a name as a file's name may hold it; a name that had to change keeps apart by a hash of itself."""
    part = re.sub(r"[^A-Za-z0-9.=^-]+", "-", name).strip("-.")
    if part == name and len(part) <= _LONGEST_PART:
        return part
    return f"{part[:_LONGEST_PART]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}".strip("-")


def prepare_folder(folder: Path) -> None:
    """Make the output folder, so that a study does not find out at its end that it cannot.

    Raises `KallosError` if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise KallosError(f"the output folder must be writable: {folder}: {error.strerror}") from None


def verdict(result: TuningResult) -> str:
    """Return in one sentence how the best value stands to the naive forecast, and how it was chosen."""
    naive = f"the naive forecast ({result.naive})"
    if result.gain <= 0:
        return f"{-result.gain:.2%} worse than {naive}: no better than guessing"
    won = sum(
        score.rmse < window.naive_rmse[result.naive]
        for window, score in zip(result.windows, result.best.scores, strict=True)
    )
    return (
        f"{result.gain:.2%} better than {naive}, in {won} of {len(result.windows)} folds; "
        f"the best of {len(result.trials)} trials, chosen on these very folds"
    )


def outcome(trial: TrialRecord) -> str:
    """Return in a few words how a trial has ended."""
    match trial.state:
        case "complete":
            return f"rmse {trial.value:.6g}"
        case "pruned":
            return f"pruned behind fold {len(trial.scores)}"
        case _:
            return f"failed: {trial.reason}"


def run_summary(result: TuningResult, fits: int, stopped: str | None) -> str:
    """Return in a sentence what a run took, what pruning spared, and which budget ended it, if one did."""
    spared = f", {result.saved:.0%} of all spared by pruning" if result.saved else ""
    if stopped is None:
        return f"{fits} folds were fitted in this run{spared}"
    n_trials = len(result.trials)
    return (
        f"{stopped}: {fits} folds were fitted in this run{spared}; the result is that of the first {n_trials} of "
        f"{result.spec.n_trials} trials, and the same command carries on"
    )


def fold_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per fold, the open step last: its window, the best trial's RMSE, and the naive one's."""
    shown = [
        (str(number), window, score)
        for number, (window, score) in enumerate(zip(result.windows, result.best.scores, strict=True), start=1)
    ]
    if result.open_window is not None and result.open_score is not None:
        shown.append(("open step", result.open_window, result.open_score))
    return [
        {
            "fold": name,
            "validation_start": day(window.validation_start),
            "validation_end": day(window.validation_end),
            "rmse": score.rmse,
            "naive_rmse": window.naive_rmse[result.naive],
            "epochs": score.best_epoch,
        }
        for name, window, score in shown
    ]


def trial_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per trial: number, state, value against naive, seconds, and the parameters."""
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            "rmse": trial.value,
            "against naive": None if trial.value is None else round(trial.value / result.naive_value, 4),
            "seconds": round(trial.seconds, 1),
            **trial.params,
            "reason": trial.reason,
        }
        for trial in result.trials
    ]


def best_params_markdown(result: TuningResult) -> str:
    """Return the result as markdown: verdict, parameters, and the score against naive, fold by fold."""
    spec, data = result.spec, result.data
    params = "\n".join(f"| {name} | {short(value)} |" for name, value in result.best_params.items())
    folds = "\n".join(
        f"| {row['fold']} | {row['validation_start']} to {row['validation_end']} | {row['rmse']:.6g} "
        f"| {row['naive_rmse']:.6g} | {row['rmse'] / row['naive_rmse'] - 1:+.2%} |"
        for row in fold_rows(result)
    )
    naive = ", ".join(f"{name} {value:.6g}" for name, value in result.naive_values.items())
    return f"""# {spec.model_name} on {spec.data.asset_id}

**RMSE {result.best_value:.6g}** (mean over {len(result.windows)} folds), {verdict(result)}.

Naive forecasts: {naive}. Best is trial {result.best.number} of {len(result.trials)}.

| parameter | best |
| --- | --- |
{params}

| fold | validation | RMSE | {result.naive} | difference |
| --- | --- | --- | --- | --- |
{folds}

Target `{spec.features.target}`, {spec.horizon} ahead; {data.rows} rows, {day(data.start)} to {day(data.end)}
(`{data.sha256[:12]}`); seed {spec.seed}.
"""


def short(value: object) -> str:
    """Return a parameter for people: of a number as many digits as tell it from the next."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def day(moment: str | int) -> str:
    """Return a stamp for people: a date alone where it is midnight."""
    return str(moment).removesuffix("T00:00:00").replace("T", " ")


def _fold(window: FoldWindow, score: FoldScore, naive: str) -> dict[str, Any]:
    return {
        **window.model_dump(exclude={"naive_rmse"}),
        "rmse": score.rmse,
        "mae": score.mae,
        "n_forecasts": score.n_forecasts,
        "best_epoch": score.best_epoch,
        "naive_rmse": window.naive_rmse[naive],
    }
