"""Model directories: written completely or not at all, with every byte checked before use."""

import json
import logging
import posixpath
from typing import Any

from pydantic import ValidationError

from kallos.architectures import get_architecture
from kallos.architectures.references import is_loaded
from kallos.architectures.study_space import ARCHITECTURE
from kallos.errors import DataError, KallosError, explain, require
from kallos.models.holdout_evaluations import MANIFEST
from kallos.models.manifest import FORMAT, FileRecord, Manifest
from kallos.models.trained import TrainedModel
from kallos.scoring.job import EVALUATION_VERSION
from kallos.scoring.machine import installed_versions, machine
from kallos.storage import Folder
from kallos.words import scrubbed, shorten

_log = logging.getLogger(__name__)

_WHAT = "a model directory"

# Forecasts are reproducible only with the same minor release of these.
_SAME_RELEASE = ("darts", "torch")


def write_model(trained: TrainedModel, folder: str) -> str:
    """Write a model into its own folder (or fsspec URL) and return the address, without a password.

    If the folder holds this model already, damaged files are repaired. Raises `KallosError` if the folder holds
    anything else or cannot be written.
    """
    manifest = json.dumps(trained.manifest.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    files = {**trained.files(), MANIFEST: manifest.encode()}
    refuse_foreign_folder(folder)
    directory = Folder(folder, _WHAT)
    if not directory.names():
        directory.write_all(files)
    else:
        _refuse_other_model(trained, folder)
        for name, content in files.items():
            if directory.read(name) != content:
                directory.write(name, content)
    return scrubbed(folder)


def refuse_foreign_folder(folder: str) -> None:
    """Raise `KallosError` if a folder holds anything but a model; call it before training a model for the folder."""
    existing = Folder(folder, _WHAT).names()
    if existing and MANIFEST not in existing:
        raise KallosError(
            f"a model needs its own folder, and {scrubbed(folder)} holds {shorten(existing, 3)}: choose another folder"
        )


def read_manifest(folder: str) -> Manifest:
    """Return the checked manifest of a model directory, without reading the other files.

    Raises `DataError` if it is missing, or not one that this version of Kallos wrote.
    """
    content = Folder(folder, _WHAT).read(MANIFEST)
    if content is None:
        raise DataError(
            f"a model directory must have a {MANIFEST}, and {scrubbed(folder)} has none: choose a directory that "
            f"'kallos-run train' wrote"
        )
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not {"format", "model_id"} <= values.keys():
        raise _unfit(folder, f"its {MANIFEST} is not that of a model")
    if values["format"] != FORMAT:
        raise _unfit(
            folder, f"it has format {values['format']!r}, and this version reads {FORMAT}: train the model again"
        )
    _refuse_unknown_code(values, folder)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        raise _unfit(folder, f"its {MANIFEST} is damaged: {explain(error)}") from None
    if manifest.named().model_id != manifest.model_id:
        raise _unfit(folder, f"its {MANIFEST} was changed: its content does not match the hash in its model_id")
    return manifest


def load_model(folder: str) -> TrainedModel:
    """Return the model of a directory (or fsspec URL), which makes the same forecasts to the bit as when written.

    No pickle is executed. Raises `DataError` for a missing, changed or foreign file, another format, or another version
    of the architecture, evaluation, Darts or torch, with which the same bits cannot be guaranteed.
    """
    require(str, folder=folder)
    manifest = read_manifest(folder)
    _refuse_other_code(manifest, folder)
    contents = {name: _checked(folder, name, record) for name, record in manifest.files.items()}
    needed = {name for member in manifest.members for name in (member.preparation, member.weights)}
    if needed != set(contents):
        raise _unfit(folder, f"its files must be {', '.join(sorted(needed))}, not {', '.join(sorted(contents))}")
    if manifest.machine.get("cpu") != machine()["cpu"]:
        _log.warning(
            "model %s was trained on a CPU with %s, and this one has %s: forecasts may differ in their last bits",
            manifest.model_id,
            manifest.machine.get("cpu"),
            machine()["cpu"],
        )
    try:
        return TrainedModel.restore(manifest, contents)
    except KallosError as error:
        raise _unfit(folder, str(error)) from None


def _refuse_unknown_code(values: dict[str, Any], folder: str) -> None:
    """Refuse a manifest that names code which this process does not trust: validating it would run the code."""
    spec, choice = (_table(values.get(name)) for name in ("spec", "choice"))
    named = [
        *(each.get("architecture") for each in _tables(values.get("members"))),
        *(_table(each.get("params")).get(ARCHITECTURE) for each in _tables(choice.get("members"))),
        *str(spec.get("model_name")).split(","),
        spec.get("metric"),
        *_list(spec.get("objectives")),
        *_list(spec.get("metrics")),
        _table(spec.get("training")).get("loss"),
    ]
    for name in named:
        if isinstance(name, str) and ":" in name and not is_loaded(name.strip()):
            raise _unfit(
                folder, f"it needs custom code, {name.strip()!r}: if you trust it, set `trust_code` {name.strip()}"
            )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(values: Any) -> list[dict[str, Any]]:
    return [_table(value) for value in _list(values)]


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _refuse_other_model(trained: TrainedModel, folder: str) -> None:
    try:
        existing = read_manifest(folder).model_id
    except DataError:
        existing = "another model"
    if existing != trained.model_id:
        raise KallosError(
            f"a model cannot overwrite another, and {scrubbed(folder)} holds {existing}, not {trained.model_id}: "
            f"choose another folder"
        )


def _refuse_other_code(manifest: Manifest, folder: str) -> None:
    remedy = "its forecasts may differ: train it again ('kallos-run train'), or install what it was trained with"
    here = installed_versions()
    for name in _SAME_RELEASE:
        then = manifest.versions.get(name, "absent")
        if _release(then) != _release(here[name]):
            raise _unfit(folder, f"it was trained with {name} {then}, and {here[name]} is installed, so {remedy}")
    if manifest.evaluation != EVALUATION_VERSION:
        raise _unfit(
            folder,
            f"it was trained with evaluation version {manifest.evaluation} of Kallos, and this one has "
            f"{EVALUATION_VERSION}, so {remedy}",
        )
    for member in manifest.members:
        if get_architecture(member.architecture).source_sha256 != member.architecture_sha256:
            raise _unfit(folder, f"the code that builds {member.architecture} has changed, so {remedy}")


def _release(version: str) -> list[str]:
    return version.partition("+")[0].split(".")[:2]


def _checked(folder: str, name: str, record: FileRecord) -> bytes:
    if posixpath.basename(name) != name:
        raise _unfit(folder, f"its files must be inside the folder, and {name!r} is not")
    content = Folder(folder, _WHAT).read(name)
    if content is None:
        raise _unfit(folder, f"its file {name} is missing")
    found = FileRecord.of(content)
    if found != record:
        raise _unfit(
            folder,
            f"its file {name} was changed: it has {found.size} bytes with hash {found.sha256[:12]}, and must have "
            f"{record.size} with hash {record.sha256[:12]}",
        )
    return content


def _unfit(folder: str, reason: str) -> DataError:
    return DataError(f"the model in {scrubbed(folder)} cannot be used: {reason}")
