"""What results are called and where they lie: nobody else makes such a name.

RESULTS/
├── STUDY_NAME/                     all that a study leaves, which no other study's result replaces:
│   best_params.json, study.json, forecasts.json, report.html
├── MODEL_ASSET_best_params.json    copies of the latest study's of this model, asset and target
├── MODEL_ASSET_report.html
├── failures/                       what became of runs that have no result
├── models/MODEL_ID/                trained models, and beside the folder each one's evaluation:
├── MODEL_ID_evaluation.json, .png
├── tune-all-HASH/leaderboard.csv   a grid's leaderboard, and a copy of the latest grid's:
└── leaderboard.csv

The target is part of a name unless it is the default one: MODEL_ASSET_TARGET_best_params.json. A part that cannot
stand in a name as it is keeps a hash of itself, so that no two studies share one.
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

BEST_PARAMS, STUDY, FORECASTS, REPORT = "best_params.json", "study.json", "forecasts.json", "report.html"
LEADERBOARD = "leaderboard.csv"

_MODELS, _FAILURES, _EVALUATION = "models", "failures", "_evaluation."
# A file's name may have 255 bytes; a result's has three parts with their hashes, a kind, and a temporary ending.
_LONGEST_PART = 56


def study_folder(results: str, study: str) -> str:
    """Return the folder of a study's own result, by the study's name."""
    return posixpath.join(results, _folder_name(study))


def results_of(folder: str, study: str) -> str | None:
    """Return the results among which a study's own folder lies, or None if the folder has not the study's name."""
    parent, name = posixpath.split(folder.rstrip("/"))
    return (parent or ".") if name == _folder_name(study) else None


def shown_name(params_address: str) -> str:
    """Return what a file of best parameters is called without its place: by its study, or by the copy's own name."""
    folder, name = posixpath.split(params_address)
    return posixpath.basename(folder) if name == BEST_PARAMS and folder else name


def latest_name(spec: TuneSpec, name: str) -> str:
    """Return the name of the latest copy of a file, by model, asset and target: `gru_BTC_best_params.json`."""
    return f"{_stem(spec)}_{name}"


def failures_folder(results: str) -> str:
    """Return the folder of the notes of runs that have failed."""
    return posixpath.join(results, _FAILURES)


def failure_name(spec: TuneSpec) -> str:
    """Return the name of a failure's note: that of the specification, however many trials it asks for."""
    return f"{_stem(spec)}-{json_sha256(spec.model_dump(mode='json', exclude={'n_trials'}))[:8]}.json"


def unread_failure_name(parameters: Any) -> str:
    """Return the name of the note of a run whose parameters hold no specification that can be read."""
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
    """Return the id of the model whose evaluation a file is by its name, or None if it is none."""
    ending = f"{_EVALUATION}json"
    return name.removesuffix(ending) if name.endswith(ending) else None


def grid_folder(results: str, grid: StudyGrid) -> str:
    """Return the folder of a grid's own leaderboard: that of its studies, however many trials they ask for."""
    content = grid.model_dump(mode="json", exclude={"spec": {"n_trials"}})
    return posixpath.join(results, f"tune-all-{json_sha256(content)[:16]}")


def latest_leaderboard(grid: StudyGrid) -> str:
    """Return the name of the copy of the latest leaderboard of a target: `leaderboard.csv`."""
    return "_".join([*_target_parts(grid.spec), LEADERBOARD])


def artifact_key(kind: str, spec: TuneSpec) -> str:
    """Return a Prefect artifact key such as `best-params-gru-btc`, stable per model, asset and target."""
    model, data = _key_part(spec.model_name, _in_words), spec.data
    return f"{kind}-{model}-{_key_part(data.asset_label, str.upper, data.assets)}{_key_of_target(spec)}"


def leaderboard_key(grid: StudyGrid) -> str:
    """Return the Prefect artifact key of a grid's leaderboard, stable per target."""
    return f"leaderboard{_key_of_target(grid.spec)}"


def file_part(name: str, also: str = "") -> str:
    """Return a name as a file's name may hold it; a name that had to change keeps apart by a hash of itself.

    What joins the parts of a name, such as `_`, stands in a part only where it is asked for by `also`.
    """
    part = _safe(name, also)
    return part if part == name else f"{part}-{_hash(name, 6)}".strip("-")


def _folder_name(study: str) -> str:
    # The hash behind the last dash stays whole.
    label, _, digest = study.rpartition("-")
    return f"{file_part(label, also='+_')}-{digest}"


def _stem(spec: TuneSpec) -> str:
    model = _joined(spec.model_name.split(","), spec.model_name)
    return "_".join([model, _joined(spec.data.assets, spec.data.asset_label), *_target_parts(spec)])


def _target_parts(spec: TuneSpec) -> list[str]:
    target = spec.features.target
    # As the last part it may hold what joins them.
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
    # No part holds two dashes: an asset A-B is never an asset A with a target B.
    return f"--{_key_part(features.target_label, _in_words, features.targets)}"


def _key_part(label: str, usual: Callable[[str], str], names: Sequence[str] = ()) -> str:
    """Return a label as an artifact's key may hold it; one that is not spelled as `usual` keeps a hash of its names."""
    part = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:_LONGEST_PART]
    return part if usual(part) == label else f"{part}-{_hash(_of_all(names or [label]), 6)}".strip("-")


def _in_words(part: str) -> str:
    return part.replace("-", "_")


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
