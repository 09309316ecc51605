"""Trials as they are asked, run and remembered."""

from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from kallos.scoring.job import FoldScore

PARAMS, SCORES, REASON = "params", "scores", "reason"
# Of a failed trial, the hash of what it ran with.
ENVIRONMENT = "environment"
# What becomes of trials that have failed, for whoever wonders.
TRY_AGAIN = "trials that failed are tried again once code or packages have changed, and at once with `refresh_cache`"
_STATES: dict[TrialState, Literal["complete", "pruned", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class StudyTrial:
    """A trial of a study: as it was when its parameters had been drawn, and as it ended, None while it has not."""

    begun: FrozenTrial
    ended: FrozenTrial | None = None

    @property
    def n_scored(self) -> int:
        """Number of folds that were scored before it ended."""
        return len(self.ended.user_attrs.get(SCORES, [])) if self.ended else 0

    def has_failed_elsewhere(self, environment: str) -> bool:
        """Whether it failed with other code or packages than those of the environment with this hash."""
        ended = self.ended
        return ended is not None and ended.state is TrialState.FAIL and ended.user_attrs.get(ENVIRONMENT) != environment


class WarmStart(BaseModel):
    """Parameter sets that a study's first trials take, and the study that they come from; none for a cold start."""

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
        """Return what is kept of a trial that has ended."""
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
        """Time that its fold fits took, wherever they ran."""
        return sum(score.seconds for score in self.scores)


def best_of(trials: list[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial of the least value, the first of equals; a pruned one is never it."""
    complete = [(trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return min(complete)[2] if complete else None
