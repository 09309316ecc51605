"""`kallos-run report`: a study's page, made again from its files alone."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kallos.errors import UsageError


def report(
    *,
    study_file: Annotated[
        str | None, Parameter(help="The study's file, MODEL_ASSET_study.json, or its fsspec URL.", show_default=False)
    ] = None,
    params_file: Annotated[
        str | None,
        Parameter(help="MODEL_ASSET_best_params.json; the study's file is beside it.", show_default=False),
    ] = None,
    evaluation: Annotated[
        str | None, Parameter(help="JSON of an evaluation on a hold-out: its verdict comes first.", show_default=False)
    ] = None,
    output: Annotated[
        str | None, Parameter(help="The page. [default: MODEL_ASSET_report.html beside the study]", show_default=False)
    ] = None,
) -> None:
    """Draw a study's report again; no database, no server and no network are needed."""
    if (study_file is None) == (params_file is None):
        raise UsageError("a report must know its study: give one of --study-file and --params-file")
    from kallos.best_forecasts import read_forecasts
    from kallos.best_params import read_one_se
    from kallos.html_report import report_file_name, report_html
    from kallos.result_folder import write_text
    from kallos.selection import deflate
    from kallos.study_files import read_evaluation, read_study, split_address, study_address

    address = study_file or study_address(params_file or "")
    result = read_study(address)
    folder, _ = split_address(address)
    page = report_html(
        result,
        evaluation=None if evaluation is None else read_evaluation(evaluation, result),
        one_se=read_one_se(result, folder),
        deflation=deflate(result),
        forecasts=read_forecasts(result, folder),
    )
    place, name = split_address(output) if output else (folder, report_file_name(result.spec))
    written = write_text(place, name, page)
    Console(soft_wrap=True, highlight=False, markup=False).print(f"report: {written}")
