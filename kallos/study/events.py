"""The events of a study, for its watchers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kallos.planning import StudyPlan
from kallos.scoring.score import FoldScore
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, WarmStart


@dataclass(frozen=True)
class StudyStarted:
    """The run is about to draw its first trial; `recorded` trials ended in earlier runs.

    Recorded trials from `again_from` on are run again, because that one failed with other code or packages.
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
    """A fold of a trial was scored."""

    trial: int
    fold: int
    score: FoldScore


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended; `best` is the best trial so far, None until one is complete."""

    trial: TrialRecord
    best: TrialRecord | None


@dataclass(frozen=True)
class StudyFinished:
    """The run has its result, after `fits` fits and `spared` by pruning; `stopped` names the budget that ended it."""

    result: TuningResult
    fits: int
    spared: int
    stopped: str | None


@dataclass(frozen=True)
class StepStarted:
    """The run began a step after its study, described by `doing`."""

    doing: str


Event = StudyStarted | TrialStarted | FoldScored | TrialFinished | StudyFinished | StepStarted
Watcher = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore an event."""
