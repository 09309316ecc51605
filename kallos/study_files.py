"""A study's whole result as a file beside its best parameters, from which its report is made again."""

import json
import posixpath
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from kallos.errors import DataError, KallosError, UsageError, explain, scrubbed
from kallos.evaluation.document import ENDING as EVALUATION_ENDING
from kallos.evaluation.results import HoldoutEvaluation
from kallos.model_files import MODELS, read_manifest
from kallos.report import result_file_name
from kallos.result_folder import file_names, read_text, write_text
from kallos.results import TuningResult
from kallos.selection import OneStandardError
from kallos.specs import TuneSpec

# Raise this whenever a change makes files of before unreadable.
FORMAT = 1

_KIND = "kallos study"
_PARAMS_ENDING, _ENDING = "_best_params.json", "_study.json"


def study_file_name(spec: TuneSpec) -> str:
    """Return the name of a study's file: `MODEL_ASSET_study.json`."""
    return result_file_name(spec, "study")


def write_study(result: TuningResult, folder: str) -> str:
    """Write the result into the folder as `MODEL_ASSET_study.json`, and return its address.

    Raises `KallosError` if the folder cannot be written.
    """
    document = {"kind": _KIND, "format": FORMAT, "result": result.model_dump(mode="json")}
    return write_text(folder, study_file_name(result.spec), json.dumps(document, indent=1, allow_nan=False) + "\n")


def study_address(params_address: str) -> str:
    """Return where the study's file is, beside a file of best parameters; raises `UsageError` for another file."""
    if not params_address.endswith(_PARAMS_ENDING):
        raise UsageError(
            f"best parameters are in a file MODEL_ASSET{_PARAMS_ENDING}, not in {scrubbed(params_address)}: give that "
            f"one, or the study's own as `study_file`"
        )
    return params_address.removesuffix(_PARAMS_ENDING) + _ENDING


def read_study(address: str) -> TuningResult:
    """Return the result that a file (a path or an fsspec URL) holds, the very one that was written.

    Raises `UsageError` if the file is not there or is no study's, `DataError` if it is damaged or was written by a
    version whose files are others.
    """
    shown = scrubbed(address)
    text = read_text(*split_address(address))
    if text is None:
        raise UsageError(f"a study's file must be there: {shown} is not; 'kallos-run tune' writes it")
    try:
        document: Any = json.loads(text)
    except ValueError:
        raise DataError(
            f"a study's file must be whole: {shown} is damaged; the same 'kallos-run tune' writes it again"
        ) from None
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise UsageError(
            f"a study's file must be one that 'kallos-run tune' wrote (MODEL_ASSET_study.json): not {shown}"
        )
    if document.get("format") != FORMAT:
        raise DataError(
            f"a study's file must be of format {FORMAT}: {shown} is of format {document.get('format')!r}, by another "
            f"version of Kallos; the same 'kallos-run tune' writes it again"
        )
    try:
        return TuningResult.model_validate(document.get("result"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "result"
        raise DataError(
            f"a study's file must be whole: {shown} is damaged at {field} ({first['msg']}); the same 'kallos-run tune' "
            f"writes it again"
        ) from None


def read_evaluation(address: str, result: TuningResult) -> HoldoutEvaluation:
    """Return the evaluation that a file holds, of a model that the study has chosen.

    Raises `UsageError` if the file is not there, holds none, or one of another asset, target or horizon.
    """
    shown = scrubbed(address)
    text = read_text(*split_address(address))
    if text is None:
        raise UsageError(f"an evaluation must be there: {shown} is not; 'kallos-run evaluate' writes it")
    try:
        evaluation = HoldoutEvaluation.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(
            f"an evaluation must be one that 'kallos-run evaluate' wrote, and {shown} is none: {explain(error)}"
        ) from None
    spec = result.spec
    ours = (spec.data.asset_id, spec.features.target, spec.horizon)
    its = (evaluation.asset_id, evaluation.target, evaluation.horizon)
    if its != ours:
        raise UsageError(
            f"an evaluation must be of the study's asset, target and horizon {ours}: {shown} is of {its}; give that of "
            f"a model which this study has chosen"
        )
    return evaluation


def find_evaluation(result: TuningResult, folder: str, one_se: OneStandardError | None) -> HoldoutEvaluation | None:
    """Return the last evaluation in a folder of results of what the study chooses, or None if there is none.

    Models are told by their manifests, in the same folder: one of an earlier trial, or of another study on the same
    asset, is none of this study's. What cannot be read is passed over. Raises `KallosError` if the folder cannot be.
    """
    chosen = {result.best.number, *([] if one_se is None else [one_se.trial])}
    found = []
    for name in file_names(folder):
        if name.endswith(EVALUATION_ENDING):
            with suppress(KallosError):
                manifest = read_manifest(posixpath.join(folder, MODELS, name.removesuffix(EVALUATION_ENDING)))
                if manifest.study == result.study_name and manifest.choice.trial in chosen:
                    found.append(read_evaluation(posixpath.join(folder, name), result))
    # Each look at a hold-out counts those before it.
    return max(found, key=lambda evaluation: evaluation.looks, default=None)


def split_address(address: str) -> tuple[str, str]:
    """Return the folder and the name of a file, given as a path or an fsspec URL."""
    folder, name = posixpath.split(address)
    return folder or ".", name
