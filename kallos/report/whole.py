"""Whether a study's result is complete, so that no further run is needed."""

import posixpath

from kallos.errors import DataError, UsageError
from kallos.planning import StudyPlan
from kallos.report.columns import read_columns
from kallos.report.forecasts import read_forecasts
from kallos.report.page import find_report
from kallos.storage import Folder
from kallos.study.best_params import BestParams, read_best_params
from kallos.study.files import read_study
from kallos.study.names import STUDY, failure_name, failures_folder, study_folder


def whole_document(plan: StudyPlan, results: str, *, columns: bool = True) -> BestParams | None:
    """Return the best-parameters document of a plan's study if its result is complete, or None.

    A complete result has all trials, the study file, forecasts, report and, with `columns`, what the columns are worth,
    and nothing is missing because of a budget or a failure. What only a Prefect server holds is not checked. Raises
    `KallosError` if the results cannot be read.
    """
    spec, folder = plan.spec, study_folder(results, plan.study_name)
    document = read_best_params(folder)
    # The name covers all that the trials depend on, the data also the rows of the current window.
    if document is None or (document.spec, document.study, document.data) != (spec, plan.study_name, plan.data):
        return None
    # A budget or a failure may have prevented the score of the current window, or what is said of the choice.
    if document.n_trials != spec.n_trials or document.current_fold_failure is not None:
        return None
    if document.evidence.jobs_sha256 is None:
        return None
    # The rest is written after the document, and a run may have been killed in between.
    try:
        result = read_study(posixpath.join(folder, STUDY))
    except (DataError, UsageError):
        return None
    is_whole = (
        (result.study_name, result.data) == (plan.study_name, plan.data)
        and read_forecasts(result, folder) is not None
        and (not columns or read_columns(result, folder) is not None)
        and find_report(folder) is not None
        and Folder(failures_folder(results)).read(failure_name(spec)) is None
    )
    return document if is_whole else None
