"""What a study's file offers to train: its best trial, or an ensemble of trials, as members with weights."""

from dataclasses import dataclass

from kallos.errors import UsageError
from kallos.study.best_params import BestParams
from kallos.study.choice import Choose, Member

DEFAULT: Choose = "best"


@dataclass(frozen=True)
class Recorded:
    """What the file says of the weighted mean of these members: its error on each fold, and the mean over the folds."""

    name: str
    members: tuple[Member, ...]
    by_fold: tuple[float, ...]
    value: float


def members_of(best: BestParams, choose: Choose) -> tuple[Member, ...]:
    """Return the trials to train; raises `UsageError` if the study's file has no such choice."""
    if choose == "best":
        return (Member(trial=best.best_trial, params=best.trial_params, weight=1.0),)
    wanted = {"simplest": "simplest trial", "ensemble": "ensemble"}[choose]
    raise UsageError(
        f"the study's file has no {wanted}: tune again with `choose` {choose}, or set `choose` to best to train its "
        f"best trial"
    )


def recorded(best: BestParams) -> tuple[Recorded, ...]:
    """Return all values in the file that its forecasts can be computed again for."""
    by_fold = tuple(window.value for window in best.folds)
    return (Recorded(f"trial {best.best_trial}", members_of(best, "best"), by_fold, best.best_value),)
