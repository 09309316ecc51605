"""The flow `tune-all`: many studies, each in a run of its own, and one leaderboard."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import httpx
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from flows.server.arguments import results_folder
from flows.session import BoardChanged, handing_over, keeping_rows, prepare, reader, session, sharing_pools
from flows.tune import tune
from flows.watching import ArtifactStore, RunLogger
from kallos.errors import DataError, KallosError, StudyError
from kallos.features.store import FeatureStore
from kallos.planning import StudyPlan
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry, leaderboard_markdown, write_leaderboard
from kallos.report.whole import whole_document
from kallos.settings import Settings
from kallos.specs.grid import ALL, StudyGrid
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.study.best_params import BestParams
from kallos.study.names import leaderboard_key
from kallos.words import scrubbed, shorten
from kallos.workers.dask import cluster_line
from kallos.workers.scheduler import cluster_address

_DEFAULT_RUN = RunSpec()


@task
def find_assets(spec: TuneSpec) -> list[str]:
    """Return all assets in the table of a study; raises `DataError` if there are none."""
    settings = Settings.read()
    with FeatureStore(settings.features_url, timeout=settings.db_timeout) as store:
        assets = store.assets(spec.data)
        if not assets:
            raise DataError(
                f"assets '*' needs a table with rows, and {spec.data.source} of {store} is empty: fill it with "
                f"'kallos-run ingest', or name another table in `features_table`"
            )
        return assets


@flow(name="tune-all", flow_run_name="tune-all {grid.title}")
def tune_all(grid: StudyGrid, run: RunSpec = _DEFAULT_RUN, output_dir: str | None = None) -> Leaderboard:
    """Tune each model on each asset, one study after the other, and store a leaderboard as a CSV file and an artifact.

    If a study fails, the others still run. The run fails in the end, with a message that names the failed studies.

    Args:
        grid: Which models to tune on which assets, and the rest of their specifications.
        run: How to run each study, and for how long.
        output_dir: Results folder, or its fsspec URL; by default the worker's KALLOS_RESULTS.
    """
    logger = get_run_logger()
    folder = results_folder(output_dir)
    studies = grid.studies(find_assets(grid.spec)) if grid.assets == ALL else grid.studies()
    board = Leaderboard(entries=tuple(LeaderboardEntry.waiting(spec) for spec in studies))
    write_leaderboard(board, grid, folder)
    for entry in _run(studies, run, output_dir, folder):
        board = board.updated(entry)
        try:
            # After each study, so that a killed run leaves its leaderboard.
            write_leaderboard(board, grid, folder)
        except KallosError as error:
            logger.warning("could not write the leaderboard; trying again after the next study: %s", error)
        _log(entry, logger)
        session().tell(BoardChanged(entry, board))
    ArtifactStore(logger).store(
        create_markdown_artifact,
        key=leaderboard_key(grid),
        markdown=leaderboard_markdown(board),
        description=grid.title,
    )
    logger.info("leaderboard in %s", write_leaderboard(board, grid, folder))
    if board.failed:
        raise StudyError(_what_is_missing(board))
    return board


def _log(entry: LeaderboardEntry, logger: RunLogger) -> None:
    log = logger.warning if entry.status == "failed" else logger.info
    log(
        "%s on %s %s: %s",
        entry.model,
        entry.asset,
        "complete, skipped" if entry.is_found else entry.status,
        entry.reason or f"{entry.metric} {entry.value:.6g}",
    )


def _what_is_missing(board: Leaderboard) -> str:
    missing = [entry for entry in board.entries if entry.status != "done"]
    names = shorten([f"{entry.model} on {entry.asset}" for entry in missing])
    untried = len(missing) - len(board.failed)
    why = f"; the Dask cluster is lost, and {untried} were not tried" if untried else ""
    return (
        f"every study must have a result, and {len(missing)} of {len(board.entries)} have none: {names}{why}; "
        f"run the same command again to run only what is missing"
    )


def _run(studies: Sequence[TuneSpec], run: RunSpec, output_dir: str | None, folder: str) -> Iterator[LeaderboardEntry]:
    """Run the missing studies, and yield the entry of each study; stop once the Dask cluster is lost."""
    with keeping_rows(), sharing_pools(run):
        for spec in studies:
            prepared = entry = None
            with suppress(Exception):  # The study's own run reports what is wrong.
                prepared = prepare(reader(), spec)
                entry = None if run.refresh_cache else _finished(prepared.plan, folder, columns=run.weighs_columns)
            if entry is None:
                with handing_over(prepared):
                    entry = _run_here(spec, run, output_dir)
            yield entry
            if entry.status == "failed" and _is_cluster_lost(run):
                return


def _is_cluster_lost(run: RunSpec) -> bool:
    """Return whether the studies run on a Dask cluster that no longer answers."""
    if run.executor != "dask":
        return False
    try:
        cluster_line(cluster_address(run, Settings.read().dask_address))
    except StudyError:
        return True
    return False


def _finished(plan: StudyPlan, folder: str, *, columns: bool) -> LeaderboardEntry | None:
    """Return the entry of a study if the folder holds its complete result on the current rows."""
    document = whole_document(plan, folder, columns=columns)
    return None if document is None else LeaderboardEntry.of(plan.spec, document).model_copy(update={"is_found": True})


def _run_here(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> LeaderboardEntry:
    """Run a study as a subflow, and return its entry."""
    try:
        tuned = tune(spec, run, output_dir)
    except httpx.TransportError:  # Prefect's API does not answer, so no study can run.
        raise
    except Exception as error:  # The other studies go on.
        reason = str(error) if isinstance(error, KallosError) else f"{type(error).__name__}: {error}"
        return LeaderboardEntry.failed(spec, scrubbed(reason))
    return LeaderboardEntry.of(spec, BestParams.of(tuned.result))
