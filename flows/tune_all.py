"""The flow `tune-all`: many studies, each a run of its own, and one leaderboard."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.tune import shared_pools, tune
from flows.watching import ArtifactStore
from kallos import checks, planning, report
from kallos.checks.loading import shared_rows
from kallos.errors import KallosError, StudyError, UsageError, scrubbed, shorten
from kallos.feature_store import FeatureStore
from kallos.leaderboard import Entry, Leaderboard, leaderboard_csv, leaderboard_markdown
from kallos.planning import StudyPlan
from kallos.result_folder import prepare_folder, refuse_relative, write_text
from kallos.settings import Settings
from kallos.specs import RunSpec, TuneSpec
from kallos.study_grid import ALL, StudyGrid
from kallos.whole_results import whole_document

Onlooker = Callable[[Entry, Leaderboard], None]
Place = Literal["subflows", "deployment"]

LEADERBOARD = "leaderboard.csv"

_DEFAULT_RUN = RunSpec()
_SECONDS_BETWEEN_LOOKS = 2.0
# The most runs that the API returns at once.
_RUNS_AT_ONCE = 100

_onlookers: ContextVar[tuple[Onlooker, ...]] = ContextVar("onlookers", default=())


@contextmanager
def looking_on(onlooker: Onlooker) -> Iterator[None]:
    """Tell the onlooker of every study that ends, with the leaderboard as it stands then, inside this block."""
    token = _onlookers.set((*_onlookers.get(), onlooker))
    try:
        yield
    finally:
        _onlookers.reset(token)


@task
def find_assets(spec: TuneSpec) -> list[str]:
    """Return all assets that the table of a study holds."""
    settings = Settings.read()
    with FeatureStore(settings.features_url, timeout=settings.db_timeout) as store:
        return store.assets(spec.data)


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
    studies = grid.studies(find_assets(grid.spec)) if grid.assets == ALL else grid.studies()
    board = Leaderboard(entries=tuple(Entry.waiting(spec) for spec in studies))
    address = write_text(folder, LEADERBOARD, leaderboard_csv(board))
    for entry in _run(studies, run, output_dir, folder, None if place == "subflows" else deployment):
        board = board.updated(entry)
        # After each study: a run that is killed leaves what it knew.
        address = write_text(folder, LEADERBOARD, leaderboard_csv(board))
        log = logger.warning if entry.status == "failed" else logger.info
        log(
            "%s on %s %s: %s",
            entry.model,
            entry.asset,
            entry.status,
            entry.reason or f"{entry.metric} {entry.value:.6g}",
        )
        for onlooker in _onlookers.get():
            onlooker(entry, board)
    logger.info("leaderboard in %s", address)
    ArtifactStore(logger).store(
        create_markdown_artifact,
        key="leaderboard",
        markdown=leaderboard_markdown(board),
        description=grid.title,
    )
    if board.failed:
        names = shorten([f"{entry.model} on {entry.asset}" for entry in board.failed])
        raise StudyError(
            f"every study must have a result, and {len(board.failed)} of {len(studies)} have none: {names}; those of "
            f"the others are kept, and the same command does what is missing"
        )
    return board


def _run(
    studies: Sequence[TuneSpec], run: RunSpec, output_dir: str | None, folder: str, deployment: str | None
) -> Iterator[Entry]:
    """Run what is missing here, or as runs of a deployment, and yield how each study has ended."""
    missing = []
    with shared_rows(), shared_pools():
        for spec in studies:
            entry = None if run.refresh_cache else _finished(spec, folder)
            if entry is None and deployment is None:
                entry = _run_here(spec, run, output_dir)
            if entry is None:
                missing.append(spec)
            else:
                yield entry
    if deployment is not None:
        yield from _run_deployed(missing, run, output_dir, folder, deployment)


def _finished(spec: TuneSpec, folder: str) -> Entry | None:
    """Return the entry of a study whose whole result is in the folder, and would be the same on the rows of now."""
    try:
        document = whole_document(_plan_now(spec), folder)
        return None if document is None else Entry.of(spec, document)
    except Exception:  # Whatever is wrong there, the study's own run says it.
        return None


def _plan_now(spec: TuneSpec) -> StudyPlan:
    """Return the plan of a study on the rows that the database holds now."""
    settings = Settings.read()
    features, _ = checks.load_sound_features(
        settings.features_url, spec, now=datetime.now(UTC), timeout=settings.db_timeout
    )
    return planning.plan_study(features, spec, settings.snapshots)


def _run_here(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> Entry:
    """Run a study as a subflow, and return how it has ended."""
    try:
        result = tune(spec, run, output_dir)
    except httpx.TransportError:
        # No study is at fault, and none could be run.
        raise
    except Exception as error:  # Whatever ails one study, the others go on.
        return Entry.failed(spec, _reason(error))
    return Entry.of(spec, report.best_params_document(result))


def _run_deployed(
    studies: Sequence[TuneSpec], run: RunSpec, output_dir: str | None, folder: str, deployment: str
) -> Iterator[Entry]:
    """Run the studies as runs of a deployment, all at once, and yield how each has ended, in that order."""
    waiting = {_schedule(spec, run, output_dir, deployment): spec for spec in studies}
    while waiting:
        for flow_run in _ended(list(waiting)):
            yield _entry_of(waiting.pop(flow_run.id), flow_run, folder)
        if waiting:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _schedule(spec: TuneSpec, run: RunSpec, output_dir: str | None, deployment: str) -> UUID:
    parameters = {"spec": spec.model_dump(mode="json"), "run": run.model_dump(mode="json"), "output_dir": output_dir}
    try:
        # Not to wait here is what lets the work pool run several.
        flow_run: Any = run_deployment(deployment, parameters=parameters, timeout=0)
    except ObjectNotFound:
        raise UsageError(
            f"--deployment must be one that the Prefect server has, not {deployment!r}: 'prefect deployment ls' lists "
            f"them, 'prefect deploy --all' makes ours"
        ) from None
    run_id: UUID = flow_run.id
    return run_id


def _ended(ids: Sequence[UUID]) -> Iterator[FlowRun]:
    with get_client(sync_client=True) as client:
        for first in range(0, len(ids), _RUNS_AT_ONCE):
            some = FlowRunFilter(id=FlowRunFilterId(any_=list(ids[first : first + _RUNS_AT_ONCE])))
            for flow_run in client.read_flow_runs(flow_run_filter=some, limit=_RUNS_AT_ONCE):
                if flow_run.state is not None and flow_run.state.is_final():
                    yield flow_run


def _entry_of(spec: TuneSpec, flow_run: FlowRun, folder: str) -> Entry:
    state = flow_run.state
    assert state is not None
    if not state.is_completed():
        return Entry.failed(spec, scrubbed(f"its run {flow_run.name} is {state.name}: {state.message}"))
    document = report.read_best_params(spec, folder)
    # A file of an earlier study would be there, too, where the worker writes to another folder.
    if document is None or document.get("spec") != spec.model_dump(mode="json"):
        return Entry.failed(
            spec, scrubbed(f"its result must be in {folder}, and is not: give an --output-dir that its worker shares")
        )
    return Entry.of(spec, document)


def _reason(error: Exception) -> str:
    return scrubbed(str(error) if isinstance(error, KallosError) else f"{type(error).__name__}: {error}")
