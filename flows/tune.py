"""The flow `tune`: features, folds, study, result."""

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
from prefect import Task, flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.transactions import CommitMode, transaction
from prefect.utilities.annotations import quote
from pydantic import SecretStr

from flows.failures import note_failure
from flows.fold_storage import FoldStorage
from flows.watching import ArtifactStore, Ending, ProgressArtifact, RunLogger, TrialLog, is_worth_a_line, tell_all
from kallos import checks, html_report, planning, report, tuner
from kallos.architectures import Params
from kallos.architectures.study_space import model_of
from kallos.best_forecasts import (
    BestForecasts,
    FoldForecasts,
    forecast_job,
    forecasts_of_best,
    last_fold_job,
    read_forecasts,
)
from kallos.budget import Budget, BudgetSpentError
from kallos.cache import FoldCache
from kallos.cluster import DaskPool
from kallos.dask_scheduler import cluster_address
from kallos.errors import KallosError
from kallos.events import StudyFinished
from kallos.fold_queue import ScoreFold
from kallos.operations import count_operations
from kallos.planning import StudyPlan
from kallos.plots import report_png
from kallos.pool import FoldPool, WorkerLostError, note_another_try, physical_cores
from kallos.record import open_record
from kallos.result_folder import prepare_folder, refuse_relative
from kallos.result_names import artifact_key, study_folder
from kallos.results import TuningResult
from kallos.run_spec import RunSpec
from kallos.scoring import FoldJob, FoldScore
from kallos.selection import HonestChoice, deflate, one_standard_error
from kallos.settings import Settings
from kallos.snapshots import read_snapshot
from kallos.specs import TuneSpec
from kallos.study_files import find_evaluation, write_study

_DEFAULT_RUN = RunSpec()
_RETRIES = 2


def fold_key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the cache key of a fold task: all that its score depends on."""
    fingerprint: str = parameters["job"].fingerprint
    return fingerprint


def may_pass_later(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a retry can mend a failure: our own errors are properties of the job, the data or the run."""
    return not isinstance(state.result(raise_on_failure=False), (KallosError, BudgetSpentError))


@task
def load_features(spec: TuneSpec) -> pd.DataFrame:
    """Read the asset's features from the database, once a run, and refuse unsound ones with all their faults."""
    settings = Settings.read()
    features, examination = checks.load_sound_features(
        settings.features_url, spec, now=datetime.now(UTC), timeout=settings.db_timeout
    )
    for warning in examination.warnings:
        get_run_logger().warning("%s", warning.line)
    return features


@task
def create_splits(features: pd.DataFrame, spec: TuneSpec) -> StudyPlan:
    """Cut the folds, score the naive forecasts on them, and freeze the rows in a snapshot."""
    return planning.plan_study(features, spec, Settings.read().snapshots)


def fold_task(score: ScoreFold, storage: FoldStorage) -> Task[[FoldJob], FoldScore]:
    """Return the task that scores a fold, or reads its score from the storage."""

    @task(
        task_run_name="{job.name}",
        cache_key_fn=fold_key,
        persist_result=True,
        result_storage=storage,
        result_serializer="json",
        retries=_RETRIES,
        retry_delay_seconds=2,
        retry_condition_fn=may_pass_later,
    )
    def fold(job: FoldJob) -> FoldScore:
        """Train and score one parameter set on one fold."""
        try:
            return score(job)
        except WorkerLostError as lost:
            if runtime.task_run.run_count <= _RETRIES:
                note_another_try(lost)
            raise

    return fold


def _nothing_to_wait_for(whole: object) -> Any:
    """Keep Prefect from looking for other tasks' results in all parts of a job, or of a place."""
    return quote(whole)


@dataclass(frozen=True)
class Place:
    """Where folds are computed, how many are asked for at once, and whether a worker is idle.

    `forecast` fits a fold once more for the picture of it, on this machine.
    """

    score: ScoreFold
    forecast: Callable[[FoldJob], FoldForecasts]
    workers: int
    has_room: Callable[[], bool]
    cluster: DaskPool | None = None

    def within(self, budget: Budget) -> ScoreFold:
        """Return `score`; a fold that waits for a worker of a cluster begins within the budget, or not at all."""
        return self.score if self.cluster is None else partial(self.cluster.score, may_begin=budget.check)


@dataclass(frozen=True)
class Pools:
    """What fits run in: processes of this machine, and a cluster where the run names one."""

    processes: FoldPool
    cluster: DaskPool | None = None

    def place(self, run: RunSpec, plan: StudyPlan) -> Place:
        """Return the place that a study has here."""

        def forecast(job: FoldJob) -> FoldForecasts:
            return self.processes.run(forecast_job, job)

        if self.cluster is None:
            return Place(self.processes.score, forecast, run.workers or physical_cores(), lambda: True)
        # Workers come and go: the most folds that a study can use at once are asked for, and wait for one.
        workers = run.workers or plan.spec.lookahead * len(plan.folds)
        return Place(self.cluster.score, forecast, workers, self.cluster.has_room, self.cluster)


@contextmanager
def _pools_of(run: RunSpec) -> Iterator[Pools]:
    """Yield the pools that a run names, for as long as the block runs."""
    if run.executor == "dask":
        with (
            DaskPool(cluster_address(run, Settings.read().dask_address), fold_timeout=run.fold_timeout) as cluster,
            FoldPool(1, fold_timeout=run.fold_timeout) as processes,
        ):
            yield Pools(processes, cluster)
        return
    with FoldPool(run.workers or physical_cores(), fold_timeout=run.fold_timeout) as processes:
        yield Pools(processes)


class _SharedPools:
    """Pools that outlive a study, for the next one of the same run."""

    def __init__(self, run: RunSpec) -> None:
        self._run = run
        self._pools: Pools | None = None
        self._ends = ExitStack()
        # What a pool logs of itself belongs to the run that has opened the block, not to its first study.
        self._context = copy_context()

    @contextmanager
    def lent(self) -> Iterator[Pools]:
        if self._pools is None:
            self._pools = self._context.run(self._ends.enter_context, _pools_of(self._run))
        try:
            yield self._pools
        except BaseException:
            # A scheduler may be lost, or a fold under way for nobody.
            self.end()
            raise

    def end(self) -> None:
        self._pools = None
        self._ends.close()


_shared: ContextVar[_SharedPools | None] = ContextVar("shared_pools", default=None)


@contextmanager
def shared_pools(run: RunSpec) -> Iterator[None]:
    """Let studies in this block, which are carried alike and one after the other, share what the run names.

    A study that fails ends them, and the next one has its own; the block's end ends the last ones.
    """
    shared = _SharedPools(run)
    token = _shared.set(shared)
    try:
        yield
    finally:
        _shared.reset(token)
        shared.end()


@contextmanager
def place_of(run: RunSpec, plan: StudyPlan) -> Iterator[Place]:
    """Yield the place that the run names, for as long as the block runs."""
    shared = _shared.get()
    with _pools_of(run) if shared is None else shared.lent() as pools:
        yield pools.place(run, plan)


@task(cache_policy=NO_CACHE)
def study(plan: StudyPlan, run: RunSpec, place: Place) -> StudyFinished:
    """Run the trials, or carry them on, each fold of each as a task of its own, computed in a process of its own."""
    settings, logger = Settings.read(), get_run_logger()
    storage = FoldStorage(folder=SecretStr(settings.fold_cache))
    # Prefect takes a block as storage only once it is saved.
    storage.save(storage.name, overwrite=True)
    cache = FoldCache(settings.fold_cache)
    ending = Ending()
    watcher = tell_all(
        TrialLog(logger, plan), ProgressArtifact(artifact_key("progress", plan.spec), logger, plan), ending
    )
    with (
        open_record(settings.studies_url, plan, if_running=run.if_running) as record,
        # Tasks inside a task are stored when the outer one ends, unless told otherwise: a kill would cost the night.
        transaction(commit_mode=CommitMode.EAGER),
    ):
        if run.refresh_cache:
            tuner.forget(plan, record, cache)
        budget = Budget(
            timeout=run.timeout, max_fold_fits=run.max_fold_fits, is_stored=lambda job: job.fingerprint in cache
        )
        fold = fold_task(place.within(budget), storage)
        tuner.run_tuning(
            plan,
            score_fold=lambda job: fold(_nothing_to_wait_for(job)),
            workers=place.workers,
            has_room=place.has_room,
            record=record,
            more_trials=run.more_trials,
            budget=budget,
            watcher=watcher,
        )
    assert ending.finished is not None
    return ending.finished


@task(cache_policy=NO_CACHE)
def choose(plan: StudyPlan, result: TuningResult) -> HonestChoice:
    """Find the cheapest trial within one standard error of the best, and what is left of the best one's gain."""
    spec = plan.spec
    n_targets = len(spec.features.targets)
    n_covariates = len(read_snapshot(plan.snapshot).columns) - n_targets

    def operations_of(params: Params) -> int:
        name, own = model_of(spec.model_name, params)
        return count_operations(
            name,
            own,
            horizon=spec.horizon,
            lead=spec.features.lead,
            n_covariates=n_covariates,
            n_targets=n_targets,
            quantiles=spec.levels,
        )

    return HonestChoice(one_se=one_standard_error(result, operations_of), deflation=deflate(result))


@task(cache_policy=NO_CACHE)
def forecast_best(
    plan: StudyPlan, finished: StudyFinished, run: RunSpec, folder: str, place: Place
) -> BestForecasts | None:
    """Forecast the last fold with the best trial, fitted once more; None where no fit is left in the budget.

    What the study's folder holds of the same fit is taken over.
    """
    if _spent(finished, run):
        return read_forecasts(finished.result, folder)
    return forecasts_of_best(
        last_fold_job(plan, finished.result),
        finished.result,
        folder,
        forecast=place.forecast,
        anew=run.refresh_cache,
    )


def _spent(finished: StudyFinished, run: RunSpec) -> str | None:
    """Return which budget leaves no fit for a picture, or None."""
    if run.max_fold_fits is not None and finished.fits >= run.max_fold_fits:
        return f"`max_fold_fits` {run.max_fold_fits} is spent"
    return finished.stopped


@task(cache_policy=NO_CACHE)
def write_report(
    finished: StudyFinished,
    chosen: HonestChoice,
    forecasts: BestForecasts | None,
    no_forecasts: str | None,
    results: str,
) -> str:
    """Write the page that shows the study, and return its address."""
    result = finished.result
    page = html_report.report_html(
        result,
        evaluation=find_evaluation(result, results, chosen.one_se),
        one_se=chosen.one_se,
        deflation=chosen.deflation,
        forecasts=forecasts,
        no_forecasts=no_forecasts,
        run=finished,
    )
    return html_report.write_report(result, page, study_folder(results, result.study_name))


@flow(
    name="tune",
    flow_run_name="tune-{spec.model_label}-{spec.data.asset_label}",
    on_failure=[note_failure],
    on_crashed=[note_failure],
)
def tune(spec: TuneSpec, run: RunSpec = _DEFAULT_RUN, output_dir: str | None = None) -> TuningResult:
    """Tune architectures on an asset, or on several, and leave the best parameters as a JSON file and an artifact.

    Args:
        spec: What is tuned: everything that the result depends on.
        run: How this run carries the study, and how far.
        output_dir: Folder of the results, or an fsspec URL of one; by default that of the worker's KALLOS_RESULTS.
    """
    logging.getLogger("prefect.task_runs").addFilter(is_worth_a_line)
    logger = get_run_logger()
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id:
        refuse_relative(folder)
    prepare_folder(folder)
    features = load_features(spec)
    plan = create_splits(features, spec)
    own = study_folder(folder, plan.study_name)
    # A study is held against its own last run first: the latest of the same target may be of another horizon.
    last = report.read_best_params(own) or report.read_latest(spec, folder)
    with place_of(run, plan) as place:
        finished = study(plan, run, _nothing_to_wait_for(place))
        result = finished.result
        try:
            chosen = choose(plan, result)
        except KallosError as error:  # An architecture of one's own, of which nobody can count what a forecast costs.
            chosen = HonestChoice(deflation=deflate(result))
            logger.warning("the choice within one standard error is left out: %s", error)
        # Where a run is killed before its page is written, no earlier one lies beside the new result.
        html_report.remove_report(result, own)
        path = report.write_best_params(result, folder, chosen)
        write_study(result, own)
        logger.info("%s; best parameters in %s", report.verdict(result), path)
        page = _show(plan, finished, chosen, run, folder, place, logger)
    artifacts = ArtifactStore(logger)
    artifacts.store(
        create_markdown_artifact,
        key=artifact_key("best-params", spec),
        markdown=report.best_params_markdown(result, last, page),
        description=report.verdict(result),
    )
    artifacts.store(
        create_table_artifact,
        key=artifact_key("trials", spec),
        table=report.trial_rows(result),
        description=f"{report.study_title(spec)}: every trial, its value and its parameters",
    )
    picture = base64.b64encode(report_png(result)).decode()
    artifacts.store(
        create_image_artifact,
        key=artifact_key("plots", spec),
        # The picture itself, so that it shows wherever the UI does.
        image_url=f"data:image/png;base64,{picture}",
        description=f"{report.study_title(spec)}: the best trial beside naive, and all trials",
    )
    return result


def _show(
    plan: StudyPlan,
    finished: StudyFinished,
    chosen: HonestChoice,
    run: RunSpec,
    results: str,
    place: Place,
    logger: RunLogger,
) -> str | None:
    """Leave the report among the results and return its address; whatever fails is a warning: the result is there."""
    forecasts, why_none = None, _spent(finished, run)
    own = study_folder(results, finished.result.study_name)
    try:
        forecasts = forecast_best(plan, finished, run, own, _nothing_to_wait_for(place))
    except Exception as error:
        why_none = f"{type(error).__name__}: {error}"
        logger.warning("the best trial's forecasts are left out of the report: %s", why_none)
    try:
        return write_report(finished, chosen, forecasts, why_none, results)
    except Exception as error:
        logger.warning("the report could not be written, and the result is whole: %s: %s", type(error).__name__, error)
        with suppress(KallosError):
            html_report.remove_report(finished.result, own)
        return None
