"""`kallos-run report`: draw a study's report again from its files."""

from typing import Annotated

from cyclopts import Parameter

from flows.wording import say
from kallos.errors import UsageError


def report(
    *,
    study_file: Annotated[str | None, Parameter(help="STUDY_NAME/study.json of the study, or its fsspec URL.")] = None,
    params_file: Annotated[
        str | None, Parameter(help="best_params.json of the study, or a copy of it next to the study's folder.")
    ] = None,
    evaluation: Annotated[
        str | None, Parameter(help="JSON of a hold-out evaluation, whose verdict comes first in the report.")
    ] = None,
    output: Annotated[
        str | None, Parameter(help="HTML file to write. [default: report.html next to the study's file]")
    ] = None,
) -> None:
    """Draw a study's report again from its files.

    Needs no database, no server and no network.
    """
    if (study_file is None) == (params_file is None):
        raise UsageError("report needs one study: give one of --study-file and --params-file")
    from kallos.choosing.deflation import deflate
    from kallos.report.columns import read_columns
    from kallos.report.evaluation import read_evaluation
    from kallos.report.forecasts import read_forecasts
    from kallos.report.page import report_html, write_report
    from kallos.storage import split_address, write_at
    from kallos.study.best_params import read_best_params
    from kallos.study.choice import HonestChoice
    from kallos.study.files import read_study, study_address

    address = study_file or study_address(params_file or "")
    result = read_study(address)
    folder, _ = split_address(address)
    best = read_best_params(folder)
    page = report_html(
        result,
        evaluation=None if evaluation is None else read_evaluation(evaluation, result),
        chosen=best.evidence
        if best is not None and best.study == result.study_name
        else HonestChoice(deflation=deflate(result)),
        forecasts=read_forecasts(result, folder),
        columns=read_columns(result, folder),
    )
    written = write_at(output, page) if output else write_report(result, page, folder)
    say(f"report: {written}")
