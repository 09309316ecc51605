"""A finished study, answered from its record and its files without a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from kallos import tuner
from kallos.cache import FoldCache
from kallos.errors import StorageError
from kallos.planning import StudyPlan
from kallos.report.columns import ColumnImportance, read_columns
from kallos.report.evaluation import find_evaluation
from kallos.report.whole import whole_document
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import installed_versions
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.storage import Folder
from kallos.study.best_params import BestParams, is_latest
from kallos.study.choice import HonestChoice
from kallos.study.events import Event, StudyFinished
from kallos.study.names import REPORT, latest_name, study_folder
from kallos.study.record import open_record
from kallos.study.result import TuningResult


@dataclass(frozen=True)
class Known:
    """What is known of a finished study; `events` are those of a run that has nothing to do."""

    events: tuple[Event, ...]
    result: TuningResult
    chosen: HonestChoice
    columns: ColumnImportance | None


class _MissingError(Exception):
    """Something must be fitted."""


def what_is_known(plan: StudyPlan, run: RunSpec, results: str) -> Known | None:
    """Return what record and files say of a finished study, or None if a run has anything to do.

    A run would fit nothing, and write the same files again: the record has all trials, and the files hold its result
    and were written with the same versions. Raises what opening the record raises.
    """
    if run.refresh_cache:
        return None
    document = whole_document(plan, results, columns=run.weighs_columns)
    # A run may try failed trials again.
    if document is None or document.n_failed or document.versions != installed_versions():
        return None
    events: list[Event] = []
    finished = _finished(plan, run, events.append)
    if finished is None or document != BestParams.of(finished.result, document.evidence):
        return None
    # A run makes the study the latest, and puts an evaluation into its report.
    if not is_latest(finished.result, results) or find_evaluation(finished.result, results) is not None:
        return None
    if not Folder(results).has(latest_name(plan.spec, REPORT)):
        return None
    columns = read_columns(finished.result, study_folder(results, plan.study_name)) if run.weighs_columns else None
    return Known(tuple(events), finished.result, document.evidence, columns)


def _finished(plan: StudyPlan, run: RunSpec, watcher: Callable[[Event], None]) -> StudyFinished | None:
    """Return what a run finds in a record that has all trials, or None if it would have anything to do."""
    settings = Settings.read()
    with open_record(settings.studies_url, plan, if_running=run.if_running) as record:
        if sum(trial.ended is not None for trial in record.trials()) < plan.spec.n_trials:
            return None
        try:
            return tuner.run_study(
                plan,
                evaluate=_refuse,
                through=FoldCache(settings.fold_cache).through,
                record=record,
                watcher=watcher,
            )
        except (_MissingError, StorageError):
            return None


def _refuse(job: FoldJob) -> NoReturn:
    raise _MissingError(job.name)
