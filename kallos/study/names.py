"""The names and addresses of all results.

RESULTS/
├── STUDY_NAME/                     a study's own results:
│   best_params.json, study.json, forecasts.json, columns.json, report.html
├── MODEL_ASSET_best_params.json    copies from the latest study of this model, asset and target
├── MODEL_ASSET_report.html
├── failures/                       notes of failed runs
├── models/MODEL_ID/                trained models
├── MODEL_ID_evaluation.json, .png  their evaluations
├── tune-all-HASH/leaderboard.csv   a grid's leaderboard
└── leaderboard.csv                 a copy of the latest one

A target other than the default is part of the name: MODEL_ASSET_TARGET_best_params.json. A part that had to be changed
for a file name ends with a hash of the original, so that no two studies share a name.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Any

from kallos.specs.data import DEFAULT_TARGET
from kallos.specs.grid import StudyGrid
from kallos.specs.study import TuneSpec
from kallos.storage import json_sha256
from kallos.words import target_label

BEST_PARAMS, STUDY, REPORT = "best_params.json", "study.json", "report.html"
FORECASTS, COLUMNS = "forecasts.json", "columns.json"
LEADERBOARD = "leaderboard.csv"

_MODELS, _FAILURES, _EVALUATION = "models", "failures", "_evaluation."
# A file name may have 255 bytes, for three parts with hashes, a kind and a temporary ending.
_LONGEST_PART = 56


def study_folder(results: str, study: str) -> str:
    """Return the folder of a study's own results."""
    return posixpath.join(results, _folder_name(study))


def results_of(folder: str, study: str) -> str | None:
    """Return the results folder that contains a study's own folder, or None if that is not named like the study."""
    parent, name = posixpath.split(folder.rstrip("/"))
    return (parent or ".") if name == _folder_name(study) else None


def shown_name(params_address: str) -> str:
    """Return the short name of a best-parameters file: its study's name, or the copy's own name."""
    folder, name = posixpath.split(params_address)
    return posixpath.basename(folder) if name == BEST_PARAMS and folder else name


def latest_name(spec: TuneSpec, name: str) -> str:
    """Return the name of the latest copy of a file: `gru_BTC_best_params.json`."""
    return f"{_stem(spec)}_{name}"


def failures_folder(results: str) -> str:
    """Return the folder of the notes of failed runs."""
    return posixpath.join(results, _FAILURES)


def failure_name(spec: TuneSpec) -> str:
    """Return the name of a failure's note, which does not depend on the number of trials."""
    return f"{_stem(spec)}-{json_sha256(spec.model_dump(mode='json', exclude={'n_trials'}))[:8]}.json"


def unread_failure_name(parameters: Any) -> str:
    """Return the name of a failure's note if the run's parameters contain no valid specification."""
    return f"unread-{_hash(json.dumps(parameters, sort_keys=True, default=str), 8)}.json"


def models_folder(results: str) -> str:
    """Return the folder of trained models."""
    return posixpath.join(results, _MODELS)


def model_folder(results: str, model_id: str) -> str:
    """Return the folder of a trained model."""
    return posixpath.join(models_folder(results), model_id)


def evaluation_name(model_id: str, ending: str = "json") -> str:
    """Return the name of a model's evaluation: `MODEL_ID_evaluation.json`."""
    return f"{model_id}{_EVALUATION}{ending}"


def evaluated_model(name: str) -> str | None:
    """Return the id of the model whose evaluation has this file name, or None if it is no evaluation's."""
    ending = f"{_EVALUATION}json"
    return name.removesuffix(ending) if name.endswith(ending) else None


def grid_folder(results: str, grid: StudyGrid) -> str:
    """Return the folder of a grid's own leaderboard, which does not depend on the number of trials."""
    content = grid.model_dump(mode="json", exclude={"spec": {"n_trials"}})
    return posixpath.join(results, f"tune-all-{json_sha256(content)[:16]}")


def latest_leaderboard(grid: StudyGrid) -> str:
    """Return the name of the copy of a target's latest leaderboard: `leaderboard.csv`."""
    return "_".join([*_target_parts(grid.spec), LEADERBOARD])


def artifact_key(kind: str, spec: TuneSpec) -> str:
    """Return a Prefect artifact key such as `best-params-gru-btc`, stable per model, asset and target."""
    model, data = _key_part(spec.model_name, _in_words), spec.data
    return f"{kind}-{model}-{_key_part(data.asset_label, str.upper, data.assets)}{_key_of_target(spec)}"


def leaderboard_key(grid: StudyGrid) -> str:
    """Return the Prefect artifact key of a grid's leaderboard, stable per target."""
    return f"leaderboard{_key_of_target(grid.spec)}"


def file_part(name: str, also: str = "") -> str:
    """Return a name made safe for a file name; a changed name ends with a hash of the original.

    `also` allows further characters, such as the `_` that joins parts.
    """
    part = _safe(name, also)
    return part if part == name else f"{part}-{_hash(name, 6)}".strip("-")


def _folder_name(study: str) -> str:
    # The hash after the last dash stays whole.
    label, _, digest = study.rpartition("-")
    return f"{file_part(label, also='+_')}-{digest}"


def _stem(spec: TuneSpec) -> str:
    model = _joined(spec.model_name.split(","), spec.model_name)
    return "_".join([model, _joined(spec.data.assets, spec.data.asset_label), *_target_parts(spec)])


def _target_parts(spec: TuneSpec) -> list[str]:
    target = spec.features.target
    # The last part may contain the joining character.
    return [] if target == DEFAULT_TARGET else [_joined(spec.features.targets, target_label(target), also="_")]


def _joined(names: Sequence[str], label: str, also: str = "") -> str:
    whole = "+".join(file_part(name, also) for name in names)
    if len(names) == 1 or len(whole) <= _LONGEST_PART:
        return whole
    return f"{_safe(label, also)}-{_hash(_of_all(names), 6)}"


def _safe(name: str, also: str) -> str:
    return re.sub(rf"[^A-Za-z0-9.=^{also}-]+", "-", name).strip("-.")[:_LONGEST_PART]


def _of_all(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else json.dumps(names)


def _key_of_target(spec: TuneSpec) -> str:
    features = spec.features
    if features.target == DEFAULT_TARGET:
        return ""
    # No part has two dashes in a row, so an asset A-B differs from an asset A with a target B.
    return f"--{_key_part(features.target_label, _in_words, features.targets)}"


def _key_part(label: str, usual: Callable[[str], str], names: Sequence[str] = ()) -> str:
    """Return a label made safe for an artifact's key, with a hash of its names if `usual` cannot restore the label."""
    part = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:_LONGEST_PART]
    return part if usual(part) == label else f"{part}-{_hash(_of_all(names or [label]), 6)}".strip("-")


def _in_words(part: str) -> str:
    return part.replace("-", "_")


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
