"""`kallos-run report`: a study's page, made again from its files alone."""

from typing import Annotated

from cyclopts import Parameter

from flows.wording import Console
from kallos.errors import UsageError


def report(
    *,
    study_file: Annotated[
        str | None, Parameter(help="The study's file, STUDY_NAME/study.json, or its fsspec URL.", show_default=False)
    ] = None,
    params_file: Annotated[
        str | None,
        Parameter(help="The study's best_params.json, or a copy of it beside the study's folder.", show_default=False),
    ] = None,
    evaluation: Annotated[
        str | None, Parameter(help="JSON of an evaluation on a hold-out: its verdict comes first.", show_default=False)
    ] = None,
    output: Annotated[
        str | None, Parameter(help="The page. [default: report.html beside the study's file]", show_default=False)
    ] = None,
) -> None:
    """Draw a study's report again; no database, no server and no network are needed."""
    if (study_file is None) == (params_file is None):
        raise UsageError("a report must know its study: give one of --study-file and --params-file")
    from kallos.choosing.selection import deflate
    from kallos.report.evaluation import read_evaluation
    from kallos.report.forecasts import read_forecasts
    from kallos.report.page import report_html, write_report
    from kallos.storage import split_address, write_at
    from kallos.study.best_params import read_best_params
    from kallos.study.files import read_study, study_address

    address = study_file or study_address(params_file or "")
    result = read_study(address)
    folder, _ = split_address(address)
    best = read_best_params(folder)
    page = report_html(
        result,
        evaluation=None if evaluation is None else read_evaluation(evaluation, result),
        one_se=best.one_se if best is not None and best.study == result.study_name else None,
        deflation=deflate(result),
        forecasts=read_forecasts(result, folder),
    )
    written = write_at(output, page) if output else write_report(result, page, folder)
    Console(soft_wrap=True).print(f"report: {written}")
