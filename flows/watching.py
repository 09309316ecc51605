"""Watchers of a study: the run's log and its progress artifact."""

import time
from collections.abc import Callable
from logging import Logger, LoggerAdapter, LogRecord
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.session import BoardChanged, FlowEvent, FlowWatcher
from kallos.planning import StudyPlan
from kallos.specs.study import study_title
from kallos.study.budget import BudgetSpentError
from kallos.study.events import StudyStarted, TrialFinished
from kallos.study.lines import log_lines

RunLogger = Logger | LoggerAdapter[Any]

_SECONDS_BETWEEN_UPDATES = 5.0


def trial_log(logger: RunLogger, plan: StudyPlan) -> FlowWatcher:
    """Return a watcher that logs the study, each trial's parameters, folds and value, and a summary."""

    def log(event: FlowEvent) -> None:
        if not isinstance(event, BoardChanged):
            for line in log_lines(event, plan):
                logger.info("%s", line)

    return log


class ProgressArtifact:
    """Updates a progress artifact."""

    def __init__(self, key: str, logger: RunLogger, plan: StudyPlan) -> None:
        self._key = key
        self._artifacts = ArtifactStore(logger)
        self._spec = plan.spec
        self._n_trials = plan.spec.n_trials
        self._id: UUID | None = None
        self._updated = 0.0

    def __call__(self, event: FlowEvent) -> None:
        """Create the artifact when the study starts, and update it with each trial."""
        match event:
            case StudyStarted(n_trials=n_trials):
                self._n_trials = n_trials
                text = f"{study_title(self._spec)}: trials done"
                self._id = self._artifacts.store(
                    create_progress_artifact, progress=0.0, key=self._key, description=text
                )
            case TrialFinished(trial) if self._id is not None and self._is_due(trial.number):
                progress = 100 * (trial.number + 1) / self._n_trials
                self._artifacts.store(update_progress_artifact, self._id, progress=progress)

    def _is_due(self, number: int) -> bool:
        """Return whether to update the artifact: after the last trial, and otherwise once in a few seconds."""
        now = time.monotonic()
        due = number + 1 == self._n_trials or now - self._updated >= _SECONDS_BETWEEN_UPDATES
        self._updated = now if due else self._updated
        return due


class ArtifactStore:
    """Stores artifacts, and warns if that fails, because the results are written to files anyway.

    After a failure it stores no more: each call to a server that does not answer blocks for a minute.
    """

    def __init__(self, logger: RunLogger) -> None:
        self._logger = logger
        self._answers = True

    def store(self, create: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Store an artifact and return its id, or None if that fails."""
        if not self._answers:
            return None
        try:
            return create(*args, **kwargs)
        except Exception as error:  # The study goes on whatever the server does.
            self._answers = False
            self._logger.warning("could not store an artifact; the study goes on: %s: %s", type(error).__name__, error)
            return None


def is_worth_a_line(record: LogRecord) -> bool:
    """Drop Prefect's line about a fold that succeeded or that the budget stopped: our own log lines cover both."""
    is_fold, message = getattr(record, "task_name", None) == "fold", record.getMessage()
    went_well = message.startswith(("Finished in state Completed", "Finished in state Cached"))
    return not (is_fold and (went_well or BudgetSpentError.__name__ in message))
