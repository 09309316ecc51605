"""`kallos-run tune-all`: the flow `tune-all`, run in this process."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from flows.flags import SPEC_FLAGS, FeaturesUrl, ResultsFolder, StorageUrl, StudyFile, flags_of, nested, with_flags
from flows.server.api import prefect_api, set_environment
from flows.wording import Console
from kallos.errors import KallosError, StudyError, UsageError
from kallos.settings import Settings
from kallos.specs.files import merge, read_study_file
from kallos.specs.grid import StudyGrid, parse_grid
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec

if TYPE_CHECKING:
    from kallos.report.leaderboard import Entry, Leaderboard

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
    place: Annotated[
        Literal["subflows", "deployment"],
        Parameter(name="--as", help="One after the other here, or as runs of a deployment on its work pool."),
    ] = "subflows",
    deployment: Annotated[str, Parameter(help="Deployment of --as deployment.")] = "tune/adhoc",
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune several models on several assets, and show one leaderboard.

    A study that fails stops no other, and makes the exit code 1. What is complete is not run again.
    """
    if place == "deployment" and (db_url or storage_url):
        raise UsageError(
            "--db-url and --storage-url are of this command alone, and the runs of a deployment take their worker's: "
            "leave them out, and set KALLOS_DB_URL and KALLOS_STORAGE_URL alike for both"
        )
    values = merge(read_study_file(study) if study else {}, nested(_SPEC_FLAGS, given))
    grid = parse_grid(values, assets=assets, models=models)
    run = parse_spec(RunSpec, nested(_RUN_FLAGS, given))
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(grid, run, output_dir, place, deployment)


def run_flow(
    grid: StudyGrid, run: RunSpec, output_dir: str | None, place: Literal["subflows", "deployment"], deployment: str
) -> None:
    """Run the flow with its progress on the terminal, and show the leaderboard."""
    from kallos.storage import address_of, prepare_folder, refuse_relative
    from kallos.study.names import latest_leaderboard
    from kallos.study.record import parse_storage_url
    from kallos.workers.dask import cluster_line
    from kallos.workers.scheduler import cluster_address

    console = Console()
    settings = Settings.read()
    parse_storage_url(settings.studies_url)
    is_deployed = place == "deployment"
    if is_deployed and output_dir is not None:
        refuse_relative(output_dir)
    # Runs of a deployment write where their own settings say, not into a folder that is named from here.
    folder = output_dir or settings.results or (settings.results_folder if is_deployed else "kallos-results")
    prepare_folder(folder)
    if run.executor == "dask" and not is_deployed:
        # Workers of a deployment have an address of their own.
        console.print(cluster_line(cluster_address(run, settings.dask_address)), soft_wrap=True)
    boards: list[Leaderboard] = []
    if is_deployed:
        _refuse_without_server()
    with prefect_api(console, "flows.tune_all", meanwhile=_import_torch):
        import httpx
        from prefect.settings import PREFECT_API_URL

        from flows.server.interruption import ending_at_once, leave_at_once
        from flows.terminal.grid import show_leaderboard, shown_studies
        from flows.tune_all import looking_on
        from flows.tune_all import tune_all as tune_all_flow
        from flows.watching import watching

        # Log lines that a server does not take are no news, either: Prefect would write so into the midst of ours.
        logging.raiseExceptions = False

        def keep(_: "Entry", board: "Leaderboard") -> None:
            boards.append(board)

        failure: KallosError | None = None
        try:
            with (
                shown_studies(console) as shown,
                ending_at_once(console, before=shown.close),
                watching(shown.watch),
                looking_on(shown.note, shown.say),
                looking_on(keep),
            ):
                # A folder of the settings is none of the parameters: its URL may hold a password.
                given = output_dir or (None if settings.results or is_deployed else folder)
                tune_all_flow(grid, run, given, place, deployment)
        except KallosError as error:
            failure = error
        except httpx.TransportError:
            leave_at_once(
                f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: results are kept; start it with "
                f"'prefect server start', and the same command does what is missing"
            )
    if boards:
        show_leaderboard(console, boards[-1])
        if not is_deployed:
            console.print(shown.fitted(boards[-1]))
    if boards and (failure is None or isinstance(failure, StudyError)):
        console.print(f"written to {address_of(folder, latest_leaderboard(grid))}", soft_wrap=True)
    if failure is not None:
        raise failure


def _import_torch() -> None:
    """Import for the studies' names what takes long, while a server starts."""
    import_module("torch")


def _refuse_without_server() -> None:
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise UsageError(
            "--as deployment needs a Prefect server with the deployment on it: set PREFECT_API_URL to its API"
        )
