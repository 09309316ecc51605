"""Trials, pending and ended."""

from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from kallos.scoring.score import FoldScore

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
    """One trial; `value` is None unless all its folds were scored."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Any]
    value: float | None
    scores: tuple[FoldScore, ...]
    reason: str | None = None

    @classmethod
    def of(cls, number: int, ended: FrozenTrial) -> "TrialRecord":
        """Return the record of a trial that has ended."""
        return cls(
            number=number,
            state=_STATES[ended.state],
            params=ended.user_attrs[PARAMS],
            value=ended.value if ended.state is TrialState.COMPLETE else None,
            scores=tuple(FoldScore(**score) for score in ended.user_attrs.get(SCORES, [])),
            reason=ended.user_attrs.get(REASON),
        )

    @property
    def seconds(self) -> float:
        """Total time of its fits."""
        return sum(score.seconds for score in self.scores)


def best_of(trials: list[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial with the lowest value, the first one of equals."""
    complete = [(trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return min(complete)[2] if complete else None
