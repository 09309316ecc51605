"""`kallos-run tune-all`: the flow `tune-all`, run in this process."""

from importlib import import_module
from typing import Annotated, Any

from cyclopts import Parameter

from flows.flags import SPEC_FLAGS, FeaturesUrl, ResultsFolder, StorageUrl, StudyFile, flags_of, nested, with_flags
from flows.server.api import prefect_api, set_environment
from flows.starting import Results, examine_services, shown_while_running
from flows.wording import Console
from kallos.errors import KallosError, StudyError
from kallos.settings import Settings
from kallos.specs.files import merge, read_study_file
from kallos.specs.grid import StudyGrid, parse_grid
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec

# The grid says which assets and models: a flag for one of them would leave it open which counts.
_OF_THE_GRID = ("asset_id", "model_name")
_SPEC_FLAGS = [flag for flag in SPEC_FLAGS if flag.name not in _OF_THE_GRID]
_RUN_FLAGS = list(flags_of(RunSpec))


@with_flags(*_SPEC_FLAGS, *_RUN_FLAGS)
def tune_all(
    *,
    study: StudyFile = None,
    assets: Annotated[
        str | None, Parameter(help="Assets by commas, or '*' for all of the table.", show_default=False)
    ] = None,
    models: Annotated[str | None, Parameter(help="Architectures by commas.", show_default=False)] = None,
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune several models on several assets, and show one leaderboard.

    A study that fails stops no other, and makes the exit code 1. What is complete is not run again.
    """
    values = merge(read_study_file(study) if study else {}, nested(_SPEC_FLAGS, given))
    grid = parse_grid(values, assets=assets, models=models)
    run = parse_spec(RunSpec, nested(_RUN_FLAGS, given))
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(grid, run, output_dir)


def run_flow(grid: StudyGrid, run: RunSpec, output_dir: str | None) -> None:
    """Run the flow with its progress on the terminal, and show the leaderboard."""
    from kallos.storage import address_of, prepare_folder
    from kallos.study.names import latest_leaderboard

    console = Console()
    settings = Settings.read()
    results = Results.of(output_dir, settings)
    cluster = examine_services(run, settings)
    prepare_folder(results.folder)
    if cluster is not None:
        console.print(cluster, soft_wrap=True)
    with prefect_api(console, "flows.tune_all", meanwhile=_import_torch):
        import httpx
        from prefect.settings import PREFECT_API_URL

        from flows.server.interruption import leave_at_once
        from flows.terminal.grid import show_leaderboard, shown_studies
        from flows.tune_all import tune_all as tune_all_flow

        failure: KallosError | None = None
        try:
            with shown_while_running(console, shown_studies(console)) as shown:
                tune_all_flow(grid, run, results.parameter)
        except KallosError as error:
            failure = error
        except httpx.TransportError:
            leave_at_once(
                f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: results are kept; start it with "
                f"'prefect server start', and the same command does what is missing"
            )
    # Of a run that fails it is as it was shown last.
    if shown.board is not None:
        show_leaderboard(console, shown.board)
        console.print(shown.fitted(shown.board))
        if failure is None or isinstance(failure, StudyError):
            console.print(f"written to {address_of(results.folder, latest_leaderboard(grid))}", soft_wrap=True)
    if failure is not None:
        raise failure


def _import_torch() -> None:
    """Import for the studies' names what takes long, while a server starts."""
    import_module("torch")
