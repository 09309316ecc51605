"""`kallos-run train`: run the flow `train` in this process."""

from typing import Annotated

from cyclopts import Parameter

from flows.flags import FeaturesUrl, HowChosen, HowRefitted, Seeds, Workers
from flows.server.api import prefect_api, set_environment
from flows.wording import Console, say
from kallos.settings import Settings


def train(
    *,
    params_file: Annotated[str, Parameter(help="best_params.json of a study or a copy of it, or its fsspec URL.")],
    output_dir: Annotated[
        str | None,
        Parameter(
            help="Folder of the model, or its fsspec URL. [default: models/MODEL_ID in KALLOS_RESULTS, or else in "
            "kallos-results]"
        ),
    ] = None,
    seeds: Seeds = None,
    refit: HowRefitted = "inner-validation",
    choose: HowChosen = None,
    workers: Workers = None,
    db_url: FeaturesUrl = None,
) -> None:
    """Train what a study chose on all its rows, and store the model.

    First replicates the choice on the study's folds with --seeds seeds. Takes the study's rows from their snapshot, or
    else from the database if they have not changed there.
    """
    set_environment(KALLOS_DB_URL=db_url)
    from flows.session import handing_over, prepare_again
    from kallos.models.files import refuse_foreign_folder
    from kallos.models.summary import model_lines
    from kallos.models.trainer import choose as choose_members
    from kallos.storage import prepare_folder, split_address
    from kallos.study.best_params import read_best_params_file
    from kallos.study.names import model_folder, models_folder
    from kallos.words import counted

    console = Console()
    settings = Settings.read()
    if output_dir is None and settings.results is None:
        set_environment(KALLOS_RESULTS="kallos-results")
    results = Settings.read().results_folder
    with console.status("reading the rows"):
        # Check the file, the rows and the folder before a server is started.
        best = read_best_params_file(params_file)
        choose_members(best, choose)
        prepared = prepare_again(best)
        if output_dir is not None:
            refuse_foreign_folder(output_dir)
        prepare_folder(models_folder(results) if output_dir is None else split_address(output_dir.rstrip("/"))[0])
    with prefect_api(console, "flows.train"):
        from flows.server.interruption import ending_at_once
        from flows.train import train as train_flow

        status = console.status(
            f"replicating the choice with {counted(seeds or best.spec.seeds, 'seed')}, and training it"
        )
        with status, ending_at_once(console, before=status.stop), handing_over(prepared):
            manifest = train_flow(params_file, output_dir, seeds, refit, choose, workers)
    for line in model_lines(manifest):
        console.print(line)
    say(f"model {manifest.model_id}")
    say(f"written to {output_dir or model_folder(results, manifest.model_id)}")
