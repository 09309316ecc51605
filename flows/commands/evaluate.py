"""`kallos-run evaluate`: run the flow `evaluate` in this process."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.flags import FeaturesUrl, ResultsFolder, TrustCode
from flows.server.api import prefect_api, set_environment
from flows.starting import Results
from flows.wording import Console, say
from kallos.settings import Settings

if TYPE_CHECKING:
    from kallos.models.manifest import Manifest


def evaluate(
    *,
    model: Annotated[str, Parameter(help="Model directory, or its fsspec URL.")],
    test_start_date: Annotated[
        str | None,
        Parameter(help="First row to score. [default: the start of the study's hold-out]"),
    ] = None,
    test_end_date: Annotated[
        str | None,
        Parameter(
            help="Last row to score. [default: the end of the study's hold-out, or the latest row if you give "
            "--test-start-date]"
        ),
    ] = None,
    against: Annotated[
        str, Parameter(help="Directory of the model to compare with, 'champion' for the registry's, or 'none'.")
    ] = "champion",
    output_dir: ResultsFolder = None,
    trust_code: TrustCode = None,
    db_url: FeaturesUrl = None,
) -> None:
    """Judge a model on rows that its study never saw.

    Compares it with baselines, HAR, ridge and the champion. Each hold-out evaluation is logged with the model and
    counted: the more evaluations a hold-out has had, the more it takes to beat the baseline.
    """
    set_environment(KALLOS_DB_URL=db_url)
    from kallos.architectures.references import trust
    from kallos.models.files import read_manifest
    from kallos.storage import address_of, prepare_folder
    from kallos.study.names import evaluation_name

    if trust_code is not None:
        trust(trust_code)
    console = Console()
    settings = Settings.read()
    results = Results.of(output_dir, settings)
    # Check the model and the folder before a server is started.
    manifest = read_manifest(model)
    prepare_folder(results.folder)
    with prefect_api(console, "flows.evaluate"):
        from flows.evaluate import evaluate as evaluate_flow
        from flows.server.interruption import ending_at_once
        from flows.terminal.evaluation import show_evaluation

        status = console.status("forecasting the hold-out")
        with status, ending_at_once(console, before=status.stop):
            evaluation = evaluate_flow(model, test_start_date, test_end_date, against, results.parameter)
    show_evaluation(console, evaluation)
    written = address_of(results.folder, evaluation_name(manifest.model_id))
    say(f"written to {written}, and .png")
    params_file = _params_file(manifest, settings.results or results.folder, results.folder)
    if params_file is not None:
        command = f"kallos-run report --params-file {params_file} --evaluation {written}"
        say(f"to add the verdict to the study's report: {command}")


def _params_file(manifest: "Manifest", *folders: str) -> str | None:
    """Return the address of the best parameters of the model's study in the first folder that has them."""
    from kallos.storage import address_of
    from kallos.study.best_params import read_best_params
    from kallos.study.names import BEST_PARAMS, study_folder

    for own in (study_folder(folder, manifest.study) for folder in folders):
        if read_best_params(own) is not None:
            return address_of(own, BEST_PARAMS)
    return None
