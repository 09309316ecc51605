"""A study's whole result as a file beside its best parameters, from which its report is made again."""

import json
import posixpath
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from kallos.best_params import read_best_params_file
from kallos.errors import DataError, KallosError, UsageError, explain, scrubbed
from kallos.evaluation.results import HoldoutEvaluation
from kallos.model_files import read_manifest
from kallos.result_folder import file_names, read_text, write_text
from kallos.result_names import BEST_PARAMS, STUDY, evaluated_model, model_folder, study_folder
from kallos.results import TuningResult
from kallos.selection import OneStandardError

# Raise this whenever a change makes files of before unreadable.
FORMAT = 1

_KIND = "kallos study"


def write_study(result: TuningResult, folder: str) -> str:
    """Write the result into the study's folder as `study.json`, and return its address.

    Raises `KallosError` if the folder cannot be written.
    """
    document = {"kind": _KIND, "format": FORMAT, "result": result.model_dump(mode="json")}
    return write_text(folder, STUDY, json.dumps(document, indent=1, allow_nan=False) + "\n")


def study_address(params_address: str) -> str:
    """Return where the study's file is: beside its best parameters, or in its own folder beside a copy of them.

    Raises `DataError` for a copy that cannot be read.
    """
    folder, name = split_address(params_address)
    if name != BEST_PARAMS:
        folder = study_folder(folder, read_best_params_file(params_address).study)
    return posixpath.join(folder, STUDY)


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
            f"a study's file must be one that 'kallos-run tune' wrote (STUDY_NAME/study.json): not {shown}"
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


def find_evaluation(result: TuningResult, results: str, one_se: OneStandardError | None) -> HoldoutEvaluation | None:
    """Return the last evaluation among the results of what the study chooses, or None if there is none.

    Models are told by their manifests, among the same results: one of an earlier trial, or of another study on the same
    asset, is none of this study's. What cannot be read is passed over. Raises `KallosError` if the results cannot be.
    """
    chosen = {result.best.number, *([] if one_se is None else [one_se.trial])}
    found = []
    for name in file_names(results):
        model_id = evaluated_model(name)
        if model_id is not None:
            with suppress(KallosError):
                manifest = read_manifest(model_folder(results, model_id))
                if manifest.study == result.study_name and manifest.choice.trial in chosen:
                    found.append(read_evaluation(posixpath.join(results, name), result))
    # Each look at a hold-out counts those before it.
    return max(found, key=lambda evaluation: evaluation.looks, default=None)


def split_address(address: str) -> tuple[str, str]:
    """Return the folder and the name of a file, given as a path or an fsspec URL."""
    folder, name = posixpath.split(address)
    return folder or ".", name
