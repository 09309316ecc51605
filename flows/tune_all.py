"""The flow `tune-all`: many studies, each a run of its own, and one leaderboard."""

from collections.abc import Iterator, Sequence

import httpx
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact

from flows.session import BoardChanged, Prepared, handing_over, keeping_rows, prepare, reader, session, sharing_pools
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
from kallos.storage import prepare_folder, refuse_relative
from kallos.study.best_params import BestParams
from kallos.study.names import leaderboard_key
from kallos.words import scrubbed, shorten
from kallos.workers.dask import cluster_line
from kallos.workers.scheduler import cluster_address

_DEFAULT_RUN = RunSpec()


@task
def find_assets(spec: TuneSpec) -> list[str]:
    """Return all assets that the table of a study holds; raises `DataError` if there are none."""
    settings = Settings.read()
    with FeatureStore(settings.features_url, timeout=settings.db_timeout) as store:
        assets = store.assets(spec.data)
        if not assets:
            raise DataError(
                f"all assets ('*') must be one or more, and {spec.data.source} of {store} is empty: fill it with "
                f"'kallos-run ingest', or name another as --features-table"
            )
        return assets


@flow(name="tune-all", flow_run_name="tune-all {grid.title}")
def tune_all(grid: StudyGrid, run: RunSpec = _DEFAULT_RUN, output_dir: str | None = None) -> Leaderboard:
    """Tune each model on each asset, one study after the other, and leave a leaderboard as a CSV file and an artifact.

    A study that fails stops no other; in the end the run fails, with a line that names it.

    Args:
        grid: Which models on which assets, and all else of their studies.
        run: How each study is carried, and how far.
        output_dir: Folder of the results, or an fsspec URL of one; by default that of the worker's KALLOS_RESULTS.
    """
    logger = get_run_logger()
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id:
        refuse_relative(folder)
    prepare_folder(folder)
    studies = grid.studies(find_assets(grid.spec)) if grid.assets == ALL else grid.studies()
    board = Leaderboard(entries=tuple(LeaderboardEntry.waiting(spec) for spec in studies))
    write_leaderboard(board, grid, folder)
    for entry in _run(studies, run, output_dir, folder):
        board = board.updated(entry)
        try:
            # After each study: a run that is killed leaves what it knew.
            write_leaderboard(board, grid, folder)
        except KallosError as error:
            logger.warning("the leaderboard is written with the next study or at the end: %s", error)
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
        "complete, not run again" if entry.is_found else entry.status,
        entry.reason or f"{entry.metric} {entry.value:.6g}",
    )


def _what_is_missing(board: Leaderboard) -> str:
    missing = [entry for entry in board.entries if entry.status != "done"]
    names = shorten([f"{entry.model} on {entry.asset}" for entry in missing])
    untried = len(missing) - len(board.failed)
    why = f"the Dask cluster is lost, and {untried} not tried; " if untried else ""
    kept = "those of the others are kept, and " if len(missing) < len(board.entries) else ""
    return (
        f"every study must have a result, and {len(missing)} of {len(board.entries)} have none: {names}; {why}{kept}"
        f"the same command does what is missing"
    )


def _run(studies: Sequence[TuneSpec], run: RunSpec, output_dir: str | None, folder: str) -> Iterator[LeaderboardEntry]:
    """Run what is missing, and yield how each study has ended.

    Once the Dask cluster is lost that they run on, none of those behind is tried.
    """
    with keeping_rows(), sharing_pools(run):
        for spec in studies:
            prepared = _prepared(spec)
            entry = None if prepared is None or run.refresh_cache else _finished(prepared.plan, folder)
            if entry is None:
                with handing_over(prepared):
                    entry = _run_here(spec, run, output_dir)
            yield entry
            if entry.status == "failed" and _is_cluster_lost(run):
                return


def _is_cluster_lost(run: RunSpec) -> bool:
    """Return whether the studies run on a Dask cluster, and it can take none any more."""
    if run.executor != "dask":
        return False
    try:
        cluster_line(cluster_address(run, Settings.read().dask_address))
    except StudyError:
        return True
    return False


def _prepared(spec: TuneSpec) -> Prepared | None:
    """Return a study on the rows of now, or None where something is wrong with it, which its own run says."""
    try:
        return prepare(reader(), spec)
    except Exception:
        return None


def _finished(plan: StudyPlan, folder: str) -> LeaderboardEntry | None:
    """Return the entry of a study whose whole result is in the folder, and would be the same on the rows of now."""
    try:
        document = whole_document(plan, folder)
        return (
            None if document is None else LeaderboardEntry.of(plan.spec, document).model_copy(update={"is_found": True})
        )
    except Exception:  # Whatever is wrong there, the study's own run says it.
        return None


def _run_here(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> LeaderboardEntry:
    """Run a study as a subflow, and return how it has ended."""
    try:
        tuned = tune(spec, run, output_dir)
    except httpx.TransportError:
        # No study is at fault, and none could be run.
        raise
    except Exception as error:  # Whatever ails one study, the others go on.
        return LeaderboardEntry.failed(spec, _reason(error))
    return LeaderboardEntry.of(spec, BestParams.of(tuned.result))


def _reason(error: Exception) -> str:
    return scrubbed(str(error) if isinstance(error, KallosError) else f"{type(error).__name__}: {error}")
