"""What a study tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kallos.planning import StudyPlan
from kallos.scoring.job import FoldScore
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, WarmStart


@dataclass(frozen=True)
class StudyStarted:
    """The first trial of this run is about to be asked for; `recorded` ended in earlier runs.

    Trials from `again_from` on were recorded, too: that one failed with other code or packages, and is tried again.
    """

    plan: StudyPlan
    recorded: int
    n_trials: int
    warm_start: WarmStart
    again_from: int | None = None


@dataclass(frozen=True)
class TrialStarted:
    """A trial has drawn its parameters."""

    number: int
    params: dict[str, Any]


@dataclass(frozen=True)
class FoldScored:
    """One fold of a trial is scored."""

    trial: int
    fold: int
    score: FoldScore


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended; `best` is the best of it and all before it, None while none is complete."""

    trial: TrialRecord
    best: TrialRecord | None


@dataclass(frozen=True)
class StudyFinished:
    """The run has its result, after so many fits, and so many that pruning spared it.

    `stopped` names the budget that ended the run, if one did.
    """

    result: TuningResult
    fits: int
    spared: int
    stopped: str | None


@dataclass(frozen=True)
class StepStarted:
    """A run does more than its study; `doing` says what it has begun."""

    doing: str


Event = StudyStarted | TrialStarted | FoldScored | TrialFinished | StudyFinished | StepStarted
Watcher = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch a study without doing anything."""
