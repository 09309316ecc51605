"""The flow `tune`: features, folds, study, result."""

import base64
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
from prefect import Task, flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.transactions import CommitMode, transaction
from pydantic import SecretStr

from flows.columns import columns_or_why_not
from flows.places import Pools, processes_of
from flows.server.arguments import as_it_is, results_folder
from flows.server.failures import note_failure
from flows.server.fold_storage import FoldStorage
from flows.server.sessions import completed, no_session
from flows.session import read_sound_features, reader, session, watching
from flows.watching import ArtifactStore, ProgressArtifact, RunLogger, is_worth_a_line, trial_log
from kallos import tuner
from kallos.architectures import Params
from kallos.cache import FoldCache
from kallos.choosing.deflation import deflate
from kallos.choosing.honest import honest_choice
from kallos.choosing.kept import KeptForecasts
from kallos.choosing.lines import choosing_lines
from kallos.errors import KallosError, StorageError
from kallos.evaluation.results import HoldoutEvaluation
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import widths_of_columns
from kallos.planning import StudyPlan, plan_study
from kallos.report import page
from kallos.report.columns import ColumnImportance
from kallos.report.evaluation import find_evaluation
from kallos.report.forecasts import BestForecasts, forecasts_of_best
from kallos.report.page import remove_report, report_html
from kallos.report.plots import report_png
from kallos.report.rows import best_params_markdown, trial_rows
from kallos.scoring.job import FoldJob
from kallos.scoring.operations import operations_of_job
from kallos.scoring.result import FoldFit, FoldResult
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, study_title
from kallos.study.best_params import BestParams, read_best_params, read_latest, write_best_params
from kallos.study.budget import Budget, BudgetSpentError
from kallos.study.choice import HonestChoice
from kallos.study.events import StudyFinished
from kallos.study.files import write_study
from kallos.study.lines import verdict
from kallos.study.names import artifact_key, study_folder
from kallos.study.record import open_record
from kallos.study.result import TuningResult
from kallos.words import counted
from kallos.workers.processes import WorkerLostError, note_another_try, trying_again
from kallos.workers.queue import EvaluateFold

_DEFAULT_RUN = RunSpec()
_RETRIES = 2


def may_pass_later(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a retry can help: our own errors would come again, except that a storage may answer later."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, StorageError) or not isinstance(failure, (KallosError, BudgetSpentError))


@dataclass(frozen=True)
class Tuned:
    """What a run leaves of a study; `no_forecasts` and `no_columns` are the reasons if there are none."""

    plan: StudyPlan
    finished: StudyFinished
    chosen: HonestChoice
    forecasts: BestForecasts | None
    no_forecasts: str | None
    columns: ColumnImportance | None = None
    no_columns: str | None = None
    page: str | None = None

    @property
    def result(self) -> TuningResult:
        """The study's result."""
        return self.finished.result


@task
def load_features(spec: TuneSpec) -> pd.DataFrame:
    """Read the features from the database; raises `DataError` with all faults if they are unsound."""
    features, warnings = read_sound_features(reader(), spec)
    for line in warnings:
        get_run_logger().warning("%s", line)
    return features


@task
def create_splits(features: pd.DataFrame, spec: TuneSpec) -> StudyPlan:
    """Cut the folds, score the baselines on them, and freeze the rows in a snapshot."""
    return plan_study(features, spec, Settings.read().snapshots)


def fold_task(evaluate: EvaluateFold, storage: FoldStorage) -> Task[[FoldJob], FoldFit]:
    """Return the task that evaluates a fold or finds its forecasts in the storage."""

    @task(
        task_run_name="{job.name}",
        cache_key_fn=lambda _, parameters: parameters["job"].fingerprint,
        persist_result=True,
        result_storage=storage,
        result_serializer="json",
        retries=_RETRIES,
        retry_delay_seconds=2,
        retry_condition_fn=may_pass_later,
    )
    def fold(job: FoldJob) -> FoldFit:
        """Train one parameter set on one fold, and keep its forecasts."""
        try:
            return storage.keep(job, evaluate).fit
        except WorkerLostError as lost:
            if runtime.task_run.run_count <= _RETRIES:
                note_another_try(lost)
            raise

    return fold


def _plan(spec: TuneSpec, logger: RunLogger) -> StudyPlan:
    """Return the prepared plan, or else plan the study."""
    prepared = session().prepared_for(spec)
    if prepared is None:
        plan: StudyPlan = create_splits(load_features(spec), spec)
        return plan
    for line in prepared.warnings:
        logger.warning("%s", line)
    return prepared.plan


@task(cache_policy=NO_CACHE)
def study(plan: StudyPlan, run: RunSpec, pools: Pools, budget: Budget) -> StudyFinished:
    """Start or continue the trials; each fold is a task of its own, and runs in a process of its own."""
    settings, logger = Settings.read(), get_run_logger()
    storage = FoldStorage(folder=SecretStr(settings.fold_cache))
    # Prefect only accepts a saved block as storage.
    storage.save(storage.name, overwrite=True)

    def through_tasks(evaluate: EvaluateFold) -> EvaluateFold:
        fold = fold_task(evaluate, storage)

        def in_task(job: FoldJob) -> FoldResult:
            fold(as_it_is(job))
            return storage.take(job)

        return in_task

    with (
        open_record(settings.studies_url, plan, if_running=run.if_running) as record,
        # By default Prefect stores tasks inside a task when the outer one ends: a kill would lose the whole night.
        transaction(commit_mode=CommitMode.EAGER),
        watching(trial_log(logger, plan)),
        watching(ProgressArtifact(artifact_key("progress", plan.spec), logger, plan)),
    ):
        if run.refresh_cache:
            tuner.forget(plan, record, FoldCache(settings.fold_cache))
        return tuner.run_study(
            plan,
            evaluate=pools.evaluate_within(budget),
            through=through_tasks,
            workers=pools.folds_at_once(run, plan),
            has_room=pools.has_room,
            record=record,
            more_trials=run.more_trials,
            budget=budget,
            watcher=session().tell,
        )


@task(cache_policy=NO_CACHE)
def choose(kept: KeptForecasts, pools: Pools) -> HonestChoice:
    """Find out from the kept forecasts which trials to choose, and what choosing has made of the skill."""
    plan = kept.plan
    widths = widths_of_columns(read_snapshot(plan.snapshot).columns, plan.spec.features)
    # A worker has imported what builds the models.
    count = partial(operations_of_job, widths=widths)

    def operations_of(params: Params) -> int:
        return trying_again(partial(pools.processes.run, count), plan.trial_jobs(0, params)[0], _RETRIES)

    return honest_choice(kept, operations_of)


@task(cache_policy=NO_CACHE)
def forecast_best(plan: StudyPlan, result: TuningResult, folder: str, evaluate: EvaluateFold) -> BestForecasts:
    """Write the best trial's forecasts of the last fold to the study's folder."""
    return forecasts_of_best(plan, result, folder, evaluate=evaluate)


@task(cache_policy=NO_CACHE)
def write_report(tuned: Tuned, results: str, evaluation: HoldoutEvaluation | None = None) -> str:
    """Write a study's report to its folder, with the verdict first if there is one, and return its address."""
    result = tuned.result
    html = report_html(
        result,
        evaluation=evaluation or find_evaluation(result, results),
        chosen=tuned.chosen,
        forecasts=tuned.forecasts,
        no_forecasts=tuned.no_forecasts,
        columns=tuned.columns,
        no_columns=tuned.no_columns,
        run=tuned.finished,
    )
    return page.write_report(result, html, study_folder(results, result.study_name))


@flow(
    name="tune",
    flow_run_name="tune-{spec.model_label}-{spec.data.asset_label}",
    on_failure=[note_failure],
    on_crashed=[note_failure],
)
def tune(
    spec: TuneSpec, run: RunSpec = _DEFAULT_RUN, output_dir: str | None = None, only_on_sessions: bool = False
) -> Tuned:
    """Tune a model on one or more assets, and store the best parameters as a JSON file and an artifact.

    Args:
        spec: What to tune: everything that the result depends on.
        run: How to run the study, and for how long.
        output_dir: Results folder, or its fsspec URL; by default the worker's KALLOS_RESULTS.
        only_on_sessions: Do nothing if the study's `market` has no session on the day for which the run is scheduled
            (in `days_in`, or UTC).
    """
    if only_on_sessions and (why_none := no_session(spec)):
        nothing: Tuned = completed(why_none)
        return nothing
    logging.getLogger("prefect.task_runs").addFilter(is_worth_a_line)
    logger = get_run_logger()
    folder = results_folder(output_dir)
    plan = _plan(spec, logger)
    own = study_folder(folder, plan.study_name)
    # Compare with the last run of this study first: the latest result of this target may have another horizon.
    last = read_best_params(own) or read_latest(spec, folder)
    with session().pools_of(run) as pools:
        budget = Budget(timeout=run.timeout, max_fold_fits=run.max_fold_fits)
        finished: StudyFinished = study(plan, run, as_it_is(pools), as_it_is(budget))
        evaluate = FoldCache(Settings.read().fold_cache).through(budget.within(pools.evaluate_within(budget)))
        result = finished.result
        chosen = _choose(plan, result, run, pools, evaluate, last, logger)
        # If the run is killed before it writes its report, no old report is next to the new result.
        remove_report(result, own)
        path = write_best_params(BestParams.of(result, chosen), folder)
        write_study(result, own)
        logger.info("%s; best parameters in %s", verdict(result), path)
        for line in choosing_lines(result, chosen):
            logger.info("%s", line)
        forecasts, why_none = _forecast(plan, result, own, evaluate, logger)
        of_columns = columns_or_why_not(plan, result, own, run, pools, budget, logger)
    tuned = Tuned(plan, finished, chosen, forecasts, why_none, *of_columns)
    address = _show(tuned, folder, logger)
    _store_artifacts(result, last, address, logger)
    return replace(tuned, page=address)


def _choose(
    plan: StudyPlan,
    result: TuningResult,
    run: RunSpec,
    pools: Pools,
    evaluate: EvaluateFold,
    last: BestParams | None,
    logger: RunLogger,
) -> HonestChoice:
    """Return what the study recommends, as its last run said it if nothing has changed.

    A failure is a warning, and recommends the best trial.
    """
    kept = KeptForecasts(plan, result, evaluate)
    if last is not None and last.evidence.jobs_sha256 == kept.jobs_sha256 and not run.refresh_cache:
        return last.evidence
    try:
        _fit_what_is_gone(kept, run, logger)
        chosen: HonestChoice = choose(as_it_is(kept), as_it_is(pools))
    except Exception as error:
        why = str(error) if isinstance(error, BudgetSpentError) else f"{type(error).__name__}: {error}"
        logger.warning("nothing is recommended but the best trial: %s", why)
        return HonestChoice(deflation=deflate(result))
    return chosen


def _fit_what_is_gone(kept: KeptForecasts, run: RunSpec, logger: RunLogger) -> None:
    """Fit the folds of complete trials whose forecasts were removed from the cache, in all processes at once."""
    cache = FoldCache(Settings.read().fold_cache)
    jobs = {job.fingerprint: job for each in kept.jobs.values() for job in each}
    gone = [job for fingerprint, job in jobs.items() if not cache.has(fingerprint)]
    if gone:
        logger.info("fitting %s again, whose forecasts are no longer in the fold cache", counted(len(gone), "fold"))
        with ThreadPoolExecutor(processes_of(run)) as threads:
            list(threads.map(kept.evaluate, gone))


def _forecast(
    plan: StudyPlan, result: TuningResult, own: str, evaluate: EvaluateFold, logger: RunLogger
) -> tuple[BestForecasts | None, str | None]:
    """Return the best trial's forecasts, or why there are none; failures are warnings, as the result is written."""
    try:
        return forecast_best(plan, result, own, as_it_is(evaluate)), None
    except BudgetSpentError as spent:
        return None, str(spent)
    except Exception as error:
        why_none = f"{type(error).__name__}: {error}"
        logger.warning("the report lacks the best trial's forecasts: %s", why_none)
        return None, why_none


def _show(tuned: Tuned, results: str, logger: RunLogger) -> str | None:
    """Write the report and return its address; failures are warnings, as the result is written."""
    try:
        address: str = write_report(as_it_is(tuned), results)
    except Exception as error:
        logger.warning("could not write the report; the result is complete: %s: %s", type(error).__name__, error)
        with suppress(KallosError):
            remove_report(tuned.result, study_folder(results, tuned.result.study_name))
        return None
    return address


def _store_artifacts(result: TuningResult, last: BestParams | None, page: str | None, logger: RunLogger) -> None:
    spec, artifacts = result.spec, ArtifactStore(logger)
    artifacts.store(
        create_markdown_artifact,
        key=artifact_key("best-params", spec),
        markdown=best_params_markdown(result, last, page),
        description=verdict(result),
    )
    artifacts.store(
        create_table_artifact,
        key=artifact_key("trials", spec),
        table=trial_rows(result),
        description=f"{study_title(spec)}: all trials with their values and parameters",
    )
    picture = base64.b64encode(report_png(result)).decode()
    artifacts.store(
        create_image_artifact,
        key=artifact_key("plots", spec),
        # The picture itself, so that every browser that shows the UI can show it.
        image_url=f"data:image/png;base64,{picture}",
        description=f"{study_title(spec)}: the best trial compared to the baseline, and all trials",
    )
