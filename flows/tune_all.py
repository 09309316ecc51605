"""The flow `tune-all`: many studies, each a run of its own, and one leaderboard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import httpx
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact

from flows.places import shared_pools
from flows.server.deployed import Deployment, find_deployment, run_deployed
from flows.tune import tune
from flows.watching import ArtifactStore
from kallos import checks
from kallos.checks.loading import shared_rows
from kallos.errors import DataError, KallosError, StudyError
from kallos.features.store import FeatureStore
from kallos.planning import StudyPlan, plan_study
from kallos.report.leaderboard import Entry, Leaderboard, leaderboard_markdown, write_leaderboard
from kallos.report.whole import is_of, whole_document
from kallos.settings import Settings
from kallos.specs.grid import ALL, StudyGrid
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.storage import prepare_folder, refuse_relative
from kallos.study.best_params import BestParams, read_best_params
from kallos.study.names import leaderboard_key, study_folder
from kallos.words import scrubbed, shorten
from kallos.workers.dask import cluster_line
from kallos.workers.scheduler import cluster_address

Onlooker = Callable[[Entry, Leaderboard], None]
Listener = Callable[[str], None]
Place = Literal["subflows", "deployment"]

_DEFAULT_RUN = RunSpec()

_onlookers: ContextVar[tuple[Onlooker, ...]] = ContextVar("onlookers", default=())
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def looking_on(onlooker: Onlooker, listener: Listener = lambda line: None) -> Iterator[None]:
    """Tell the onlooker of every study that ends, with the leaderboard as it stands then, inside this block.

    The listener hears in a line what is waited for, whenever that changes, where studies run elsewhere.
    """
    tokens = _onlookers.set((*_onlookers.get(), onlooker)), _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _onlookers.reset(tokens[0])
        _listeners.reset(tokens[1])


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
def tune_all(
    grid: StudyGrid,
    run: RunSpec = _DEFAULT_RUN,
    output_dir: str | None = None,
    place: Place = "subflows",
    deployment: str = "tune/adhoc",
) -> Leaderboard:
    """Tune each model on each asset, and leave one leaderboard as a CSV file and an artifact.

    A study that fails stops no other; in the end the run fails, with a line that names it.

    Args:
        grid: Which models on which assets, and all else of their studies.
        run: How each study is carried, and how far.
        output_dir: Folder of the results, or an fsspec URL of one; by default that of the worker's KALLOS_RESULTS.
        place: 'subflows': one study after the other, here; 'deployment': each as a run of a deployment, so many at
            once as its work pool takes.
        deployment: The deployment of the flow `tune` that runs them there.
    """
    logger = get_run_logger()
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id or place == "deployment":
        refuse_relative(folder)
    prepare_folder(folder)
    on = find_deployment(deployment) if place == "deployment" else None
    studies = grid.studies(find_assets(grid.spec)) if grid.assets == ALL else grid.studies()
    board = Leaderboard(entries=tuple(Entry.waiting(spec) for spec in studies))
    write_leaderboard(board, grid, folder)
    for entry in _run(studies, run, output_dir, folder, on):
        board = board.updated(entry)
        try:
            # After each study: a run that is killed leaves what it knew.
            write_leaderboard(board, grid, folder)
        except KallosError as error:
            logger.warning("the leaderboard is written with the next study or at the end: %s", error)
        log = logger.warning if entry.status == "failed" else logger.info
        log(
            "%s on %s %s: %s",
            entry.model,
            entry.asset,
            "complete, not run again" if entry.is_found else entry.status,
            entry.reason or f"{entry.metric} {entry.value:.6g}",
        )
        for onlooker in _onlookers.get():
            onlooker(entry, board)
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


def _run(
    studies: Sequence[TuneSpec], run: RunSpec, output_dir: str | None, folder: str, deployment: Deployment | None
) -> Iterator[Entry]:
    """Run what is missing here, or as runs of a deployment, and yield how each study has ended.

    Once the Dask cluster is lost that they run on, none of those behind is tried.
    """
    missing = []
    with shared_rows(), shared_pools(run):
        for spec in studies:
            entry = None if run.refresh_cache else _finished(spec, folder)
            if entry is None and deployment is None:
                entry = _run_here(spec, run, output_dir)
            if entry is None:
                missing.append(spec)
                continue
            yield entry
            if deployment is None and entry.status == "failed" and _is_cluster_lost(run):
                return
    if deployment is not None:
        yield from run_deployed(
            missing, run, output_dir, folder, deployment, found_now=partial(_found_now, results=folder), tell=_tell
        )


def _is_cluster_lost(run: RunSpec) -> bool:
    """Return whether the studies run on a Dask cluster, and it can take none any more."""
    if run.executor != "dask":
        return False
    try:
        cluster_line(cluster_address(run, Settings.read().dask_address))
    except StudyError:
        return True
    return False


def _tell(line: str) -> None:
    get_run_logger().info("%s", line)
    for listener in _listeners.get():
        listener(line)


def _finished(spec: TuneSpec, folder: str) -> Entry | None:
    """Return the entry of a study whose whole result is in the folder, and would be the same on the rows of now."""
    try:
        document = whole_document(_plan_now(spec), folder)
        return None if document is None else Entry.of(spec, document).model_copy(update={"is_found": True})
    except Exception:  # Whatever is wrong there, the study's own run says it.
        return None


def _found_now(spec: TuneSpec, results: str) -> BestParams | None:
    """Return the document of the study on the rows of now, or None if it is not there."""
    plan = _plan_now(spec)
    document = read_best_params(study_folder(results, plan.study_name))
    return document if document is not None and is_of(plan, document) else None


def _plan_now(spec: TuneSpec) -> StudyPlan:
    """Return the plan of a study on the rows that the database holds now."""
    settings = Settings.read()
    features, _ = checks.load_sound_features(
        settings.features_url, spec, now=datetime.now(UTC), timeout=settings.db_timeout
    )
    return plan_study(features, spec, settings.snapshots)


def _run_here(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> Entry:
    """Run a study as a subflow, and return how it has ended."""
    try:
        result = tune(spec, run, output_dir)
    except httpx.TransportError:
        # No study is at fault, and none could be run.
        raise
    except Exception as error:  # Whatever ails one study, the others go on.
        return Entry.failed(spec, _reason(error))
    return Entry.of(spec, BestParams.of(result))


def _reason(error: Exception) -> str:
    return scrubbed(str(error) if isinstance(error, KallosError) else f"{type(error).__name__}: {error}")
