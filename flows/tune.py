"""The flow `tune`: features, folds, study, result."""

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from prefect import Task, flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.transactions import CommitMode, transaction
from prefect.utilities.annotations import quote
from pydantic import SecretStr

from flows.failures import note_failure
from flows.fold_storage import FoldStorage
from flows.watching import ArtifactStore, ProgressArtifact, TrialLog, is_worth_a_line, tell_all
from kallos import checks, planning, report, tuner
from kallos.budget import Budget
from kallos.cache import FoldCache
from kallos.cluster import DaskPool
from kallos.dask_scheduler import cluster_address
from kallos.errors import KallosError
from kallos.fold_queue import ScoreFold
from kallos.planning import StudyPlan
from kallos.plots import study_png
from kallos.pool import FoldPool, physical_cores
from kallos.record import open_record
from kallos.result_folder import prepare_folder, refuse_relative
from kallos.results import TuningResult
from kallos.scoring import FoldJob, FoldScore
from kallos.settings import Settings
from kallos.specs import RunSpec, TuneSpec

_DEFAULT_RUN = RunSpec()


def fold_key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the cache key of a fold task: all that its score depends on."""
    fingerprint: str = parameters["job"].fingerprint
    return fingerprint


def may_pass_later(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a retry can mend a failure: our own errors are properties of the job or of the data."""
    return not isinstance(state.result(raise_on_failure=False), KallosError)


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
        retries=2,
        retry_delay_seconds=2,
        retry_condition_fn=may_pass_later,
    )
    def fold(job: FoldJob) -> FoldScore:
        """Train and score one parameter set on one fold."""
        return score(job)

    return fold


def _nothing_to_wait_for(job: FoldJob) -> Any:
    """Keep Prefect from looking for other tasks' results in all parts of a job."""
    return quote(job)


@contextmanager
def pool_of(run: RunSpec, settings: Settings, plan: StudyPlan) -> Iterator[tuple[ScoreFold, int, Callable[[], bool]]]:
    """Yield what computes a fold where the run says, how many are asked for at once, and whether a worker is idle."""
    if run.executor == "dask":
        with DaskPool(cluster_address(run, settings.dask_address), fold_timeout=run.fold_timeout) as cluster:
            # Workers come and go: the most folds that a study can use at once are asked for, and wait for one.
            yield cluster.score, run.workers or plan.spec.lookahead * len(plan.folds), cluster.has_room
        return
    workers = run.workers or physical_cores()
    with FoldPool(workers, fold_timeout=run.fold_timeout) as pool:
        yield pool.score, workers, lambda: True


@task
def study(plan: StudyPlan, run: RunSpec) -> TuningResult:
    """Run the trials, or carry them on, each fold of each as a task of its own, computed in a process of its own."""
    settings, logger = Settings.read(), get_run_logger()
    storage = FoldStorage(folder=SecretStr(settings.fold_cache))
    # Prefect takes a block as storage only once it is saved.
    storage.save(storage.name, overwrite=True)
    cache = FoldCache(settings.fold_cache)
    watcher = tell_all(
        TrialLog(logger, plan), ProgressArtifact(report.artifact_key("progress", plan.spec), logger, plan)
    )
    with (
        open_record(settings.studies_url, plan, if_running=run.if_running) as record,
        pool_of(run, settings, plan) as (score, workers, has_room),
        # Tasks inside a task are stored when the outer one ends, unless told otherwise: a kill would cost the night.
        transaction(commit_mode=CommitMode.EAGER),
    ):
        if run.refresh_cache:
            tuner.forget(plan, record, cache)
        budget = Budget(
            timeout=run.timeout, max_fold_fits=run.max_fold_fits, is_stored=lambda job: job.fingerprint in cache
        )
        fold = fold_task(score, storage)
        return tuner.run_tuning(
            plan,
            score_fold=lambda job: fold(_nothing_to_wait_for(job)),
            workers=workers,
            has_room=has_room,
            record=record,
            more_trials=run.more_trials,
            budget=budget,
            watcher=watcher,
        )


@flow(
    name="tune",
    flow_run_name="tune-{spec.model_name}-{spec.data.asset_id}",
    on_failure=[note_failure],
    on_crashed=[note_failure],
)
def tune(spec: TuneSpec, run: RunSpec = _DEFAULT_RUN, output_dir: str | None = None) -> TuningResult:
    """Tune one architecture on one asset, and leave the best parameters as a JSON file and an artifact.

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
    result = study(plan, run)
    last = report.read_best_params(spec, folder)
    path = report.write_best_params(result, folder)
    logger.info("%s; best parameters in %s", report.verdict(result), path)
    artifacts = ArtifactStore(logger)
    artifacts.store(
        create_markdown_artifact,
        key=report.artifact_key("best-params", spec),
        markdown=report.best_params_markdown(result, last),
        description=report.verdict(result),
    )
    artifacts.store(
        create_table_artifact,
        key=report.artifact_key("trials", spec),
        table=report.trial_rows(result),
        description=f"{report.study_title(spec)}: every trial, its value and its parameters",
    )
    picture = base64.b64encode(study_png(result)).decode()
    artifacts.store(
        create_image_artifact,
        key=report.artifact_key("plots", spec),
        # The picture itself, so that it shows wherever the UI does.
        image_url=f"data:image/png;base64,{picture}",
        description=f"{report.study_title(spec)}: the best trial beside naive, and all trials",
    )
    return result
