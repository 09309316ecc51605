"""Trials, pending and ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from kallos.scoring.metrics import Scores, means_of_defined
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import Metric

PARAMS, SCORES, REASON = "params", "scores", "reason"
# The hash of the code and packages with which a trial failed.
ENVIRONMENT = "environment"
TRY_AGAIN = "failed trials are tried again after code or packages change; to try at once, give `refresh_cache`"
_STATES: dict[TrialState, Literal["complete", "pruned", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class StudyTrial:
    """A trial when its parameters were drawn, and when it ended, None while it is pending."""

    begun: FrozenTrial
    ended: FrozenTrial | None = None

    @property
    def n_scored(self) -> int:
        """Number of its scored folds."""
        return len(self.ended.user_attrs.get(SCORES, [])) if self.ended else 0

    def has_failed_elsewhere(self, environment: str) -> bool:
        """Whether it failed in another environment than the one with this hash."""
        ended = self.ended
        return ended is not None and ended.state is TrialState.FAIL and ended.user_attrs.get(ENVIRONMENT) != environment


class WarmStart(BaseModel):
    """Parameter sets for a study's first trials, and the study that they come from; empty for a cold start."""

    model_config = ConfigDict(frozen=True)

    study: str | None = None
    params: tuple[dict[str, Any], ...] = ()


class TrialRecord(BaseModel):
    """One trial; `values` has the mean over the folds of each metric, and is empty unless all folds were scored.

    `value` is that of the first objective, or None.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Any]
    value: float | None
    values: Scores
    scores: tuple[FoldScore, ...]
    reason: str | None = None

    @classmethod
    def of(cls, number: int, ended: FrozenTrial) -> "TrialRecord":
        """Return the record of a trial that has ended."""
        scores = tuple(FoldScore(**score) for score in ended.user_attrs.get(SCORES, []))
        is_complete = ended.state is TrialState.COMPLETE
        return cls(
            number=number,
            state=_STATES[ended.state],
            params=ended.user_attrs[PARAMS],
            value=ended.values[0] if is_complete else None,
            values=means_of_defined([score.values for score in scores]) if is_complete else {},
            scores=scores,
            reason=ended.user_attrs.get(REASON),
        )

    @property
    def only_value(self) -> float:
        """The value of a complete trial."""
        assert self.value is not None
        return self.value

    @property
    def seconds(self) -> float:
        """Total time of its fits."""
        return sum(score.seconds for score in self.scores)


def complete_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that are scored on all folds."""
    return [trial for trial in trials if trial.value is not None]


def best_of(trials: Iterable[TrialRecord], metric: Metric) -> TrialRecord | None:
    """Return the complete trial with the best value by the study's metric, the first one of equals."""
    return min(
        complete_trials(trials), key=lambda trial: (metric.as_loss(trial.only_value), trial.number), default=None
    )
