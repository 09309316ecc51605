"""What of a study's result must be there for the study to need no further run."""

import posixpath

from kallos.errors import DataError, UsageError
from kallos.planning import StudyPlan
from kallos.report.forecasts import read_forecasts
from kallos.report.page import find_report
from kallos.storage import Folder
from kallos.study.best_params import BestParams, read_best_params
from kallos.study.files import read_study
from kallos.study.names import STUDY, failure_name, failures_folder, study_folder


def whole_document(plan: StudyPlan, results: str) -> BestParams | None:
    """Return the best-parameters document of a plan's study whose whole result is among these, or None.

    Whole is a result of all trials with its study file, forecasts and report, from which no budget and no failure has
    kept anything. What only a Prefect server has is not looked at. Raises `KallosError` if they cannot be read.
    """
    spec, folder = plan.spec, study_folder(results, plan.study_name)
    document = read_best_params(folder)
    if document is None or not _is_of(plan, document) or document.n_trials != spec.n_trials:
        return None
    # The current window lacks its score for a spent budget or for a failed fit: either way it is missing.
    if document.current_fold_failure is not None:
        return None
    # All these are written after the document, and a run may have been killed in between.
    try:
        result = read_study(posixpath.join(folder, STUDY))
    except (DataError, UsageError):
        return None
    is_whole = (
        (result.study_name, result.data) == (plan.study_name, plan.data)
        and read_forecasts(result, folder) is not None
        and find_report(folder) is not None
        and Folder(failures_folder(results)).read(failure_name(spec)) is None
    )
    return document if is_whole else None


def _is_of(plan: StudyPlan, document: BestParams) -> bool:
    """Return whether a best-parameters document is of the plan's specification and rows, the current window's too."""
    # The name holds all that the trials depend on, the data the rows of the current window.
    return (document.spec, document.study, document.data) == (plan.spec, plan.study_name, plan.data)
