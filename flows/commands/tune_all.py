"""`kallos-run tune-all`: run the flow `tune-all` in this process."""

from importlib import import_module
from typing import Annotated, Any

from cyclopts import Parameter

from flows.flags import RUN_FLAGS, SPEC_FLAGS, FeaturesUrl, ResultsFolder, StorageUrl, StudyFile, nested, with_flags
from flows.server.api import prefect_api, set_environment
from flows.starting import prepare_run
from flows.wording import Console, say
from kallos.errors import KallosError, StudyError
from kallos.specs.files import merge, read_study_file
from kallos.specs.grid import StudyGrid, parse_grid
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec

# --assets and --models set these.
_SPEC_FLAGS = [flag for flag in SPEC_FLAGS if flag.name not in ("asset_id", "model_name")]


@with_flags(*_SPEC_FLAGS, *RUN_FLAGS)
def tune_all(
    *,
    study: StudyFile = None,
    assets: Annotated[str | None, Parameter(help="Assets, separated by commas, or '*' for all in the table.")] = None,
    models: Annotated[str | None, Parameter(help="Architectures, separated by commas.")] = None,
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune several models on several assets, and show a leaderboard.

    Skips complete studies. If a study fails, the others still run, and the exit code is 1.
    """
    values = merge(read_study_file(study) if study else {}, nested(_SPEC_FLAGS, given))
    grid = parse_grid(values, assets=assets, models=models)
    run = parse_spec(RunSpec, nested(RUN_FLAGS, given))
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(grid, run, output_dir)


def run_flow(grid: StudyGrid, run: RunSpec, output_dir: str | None) -> None:
    """Run the flow, and show its progress and the leaderboard."""
    from kallos.storage import address_of, prepare_folder
    from kallos.study.names import latest_leaderboard

    console = Console()
    results = prepare_run(run, output_dir)
    prepare_folder(results.folder)
    # The studies' names need Torch, which takes long to import.
    with prefect_api(console, "flows.tune_all", meanwhile=lambda: import_module("torch")):
        import httpx
        from prefect.settings import PREFECT_API_URL

        from flows.server.interruption import ending_at_once, leave_at_once
        from flows.session import watching
        from flows.terminal.grid import show_leaderboard, shown_studies
        from flows.tune_all import tune_all as tune_all_flow

        failure: KallosError | None = None
        try:
            with shown_studies(console) as shown, ending_at_once(console, before=shown.close), watching(shown):
                tune_all_flow(grid, run, results.parameter)
        except KallosError as error:
            failure = error
        except httpx.TransportError:
            leave_at_once(
                f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: results are kept; start it with "
                f"'prefect server start', and run the same command again to run only what is missing"
            )
    # A run that fails returns no leaderboard; this is the last one that it showed.
    if shown.board is not None:
        show_leaderboard(console, shown.board)
        console.print(shown.fitted(shown.board))
        if failure is None or isinstance(failure, StudyError):
            say(f"written to {address_of(results.folder, latest_leaderboard(grid))}")
    if failure is not None:
        raise failure
