"""A folder with all files that a finished study leaves."""

from pathlib import Path

from kallos.choosing.honest import honest_choice
from kallos.choosing.kept import KeptForecasts
from kallos.planning import StudyPlan
from kallos.report.columns import columns_of_best
from kallos.report.forecasts import BestForecasts, forecasts_of_best
from kallos.report.page import write_report
from kallos.study.best_params import BestParams, write_best_params
from kallos.study.files import write_study
from kallos.study.result import TuningResult
from tests.samples import by_parameters, no_column_matters


def write_whole(plan: StudyPlan, result: TuningResult, folder: Path) -> BestForecasts:
    """Write a result and all that is said of it, as a run does."""
    own = str(folder / plan.study_name)
    chosen = honest_choice(KeptForecasts(plan, result, by_parameters), lambda _: 1)
    write_best_params(BestParams.of(result, chosen), str(folder))
    write_study(result, own)
    write_report(result, "page", own)
    columns_of_best(plan, result, own, on_each=lambda work, jobs: [no_column_matters(work, job) for job in jobs])
    return forecasts_of_best(plan, result, own, evaluate=by_parameters)
