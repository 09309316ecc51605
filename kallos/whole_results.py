"""What of a study's result must lie in a folder for the study to need no further run."""

import posixpath
from collections.abc import Mapping
from typing import Any

from kallos.best_forecasts import read_forecasts
from kallos.errors import DataError, UsageError
from kallos.html_report import find_report
from kallos.planning import StudyPlan
from kallos.report import read_best_params, result_file_name
from kallos.result_folder import read_text
from kallos.study_files import read_study, study_file_name


def whole_document(plan: StudyPlan, folder: str) -> dict[str, Any] | None:
    """Return the best-parameters document of a plan's study whose whole result is in the folder, or None.

    Whole is a result of all trials with its study file, forecasts and report, from which no budget and no failure has
    kept anything. What only a Prefect server has is not looked at. Raises `KallosError` if the folder cannot be read.
    """
    spec = plan.spec
    document = read_best_params(spec, folder)
    if document is None or not is_of(plan, document) or document.get("n_trials") != spec.n_trials:
        return None
    # The step that is not over lacks its score for a spent budget or for a failed fit: either way it is missing.
    if document.get("open_fold_failure") is not None:
        return None
    # All these are written after the document, and a run may have been killed in between.
    try:
        result = read_study(posixpath.join(folder, study_file_name(spec)))
    except (DataError, UsageError):
        return None
    is_whole = (
        (result.study_name, result.data) == (plan.study_name, plan.data)
        and read_forecasts(result, folder) is not None
        and find_report(spec, folder) is not None
        and read_text(folder, result_file_name(spec, "failure")) is None
    )
    return document if is_whole else None


def is_of(plan: StudyPlan, document: Mapping[str, Any]) -> bool:
    """Return whether a best-parameters document is of the plan's specification and rows, the open step's among them."""
    # The name holds all that the trials depend on, the data the rows of the step that is not over.
    return (document.get("spec"), document.get("study"), document.get("data")) == (
        plan.spec.model_dump(mode="json"),
        plan.study_name,
        plan.data.model_dump(mode="json"),
    )
