"""A study's complete result as a file, from which its report can be made again."""

import json
import posixpath
from typing import Any

from pydantic import ValidationError

from kallos.errors import DataError, UsageError
from kallos.storage import Folder, read_at, split_address
from kallos.study.best_params import read_best_params_file
from kallos.study.names import BEST_PARAMS, STUDY, study_folder
from kallos.study.result import TuningResult
from kallos.words import scrubbed

# Raise this whenever a change makes earlier files unreadable.
FORMAT = 2

_KIND = "kallos study"


def write_study(result: TuningResult, folder: str) -> str:
    """Write the result into the study's folder as `study.json`, and return its address.

    Raises `KallosError` if the folder cannot be written.
    """
    document = {"kind": _KIND, "format": FORMAT, "result": result.model_dump(mode="json")}
    return Folder(folder).write(STUDY, json.dumps(document, indent=1, allow_nan=False) + "\n")


def study_address(params_address: str) -> str:
    """Return the address of the study's file, which lies next to its best parameters, given these or a copy of them.

    Raises `DataError` for an unreadable copy.
    """
    folder, name = split_address(params_address)
    if name != BEST_PARAMS:
        folder = study_folder(folder, read_best_params_file(params_address).study)
    return posixpath.join(folder, STUDY)


def read_study(address: str) -> TuningResult:
    """Return the result in a file, a path or an fsspec URL.

    Raises `UsageError` if the file is missing or is not a study's, `DataError` if it is damaged or of another format.
    """
    shown = scrubbed(address)
    content = read_at(address)
    if content is None:
        raise UsageError(f"a study's file must exist, and {shown} does not: 'kallos-run tune' writes it")
    again = "the same 'kallos-run tune' writes it again"
    try:
        document: Any = json.loads(content)
    except ValueError:
        raise DataError(f"a study's file must be complete, and {shown} is damaged: {again}") from None
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise UsageError(
            f"a study's file must be written by 'kallos-run tune' (STUDY_NAME/study.json), and {shown} is not"
        )
    if document.get("format") != FORMAT:
        raise DataError(
            f"a study's file must have format {FORMAT}, and {shown} has format {document.get('format')!r}, written by "
            f"another version of Kallos: {again}"
        )
    try:
        return TuningResult.model_validate(document.get("result"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "result"
        raise DataError(
            f"a study's file must be complete, and {shown} is damaged at {field} ({first['msg']}): {again}"
        ) from None
