"""What a study's file offers to train, and what it says of the scores."""

from dataclasses import dataclass

from kallos.errors import UsageError
from kallos.specs.study import Choose
from kallos.study.best_params import BestParams
from kallos.study.choice import WANTED, WHY_NONE, Choice, Member


@dataclass(frozen=True)
class Recorded:
    """What the file says of the weighted mean of these members: its score on each fold, and the mean over the folds."""

    name: str
    members: tuple[Member, ...]
    by_fold: tuple[float, ...]
    value: float


def chosen(best: BestParams, choose: Choose | None) -> Choice:
    """Return the trials to train, by default as the study chooses.

    Raises `UsageError` if something else is asked for that the study's file does not have.
    """
    if choose is None:
        return best.choice
    found = best.choice_by(choose)
    if found.choose != choose:
        raise UsageError(
            f"the study's file has no {WANTED[choose]}: {WHY_NONE[choose]}; set `choose` to best to train its "
            f"best trial"
        )
    return found


def recorded(best: BestParams) -> tuple[Recorded, ...]:
    """Return all values in the file that its forecasts can be computed again for."""
    by_fold = tuple(window.value for window in best.folds)
    own = Recorded(f"trial {best.best_trial}", best.choice_by("best").members, by_fold, best.best_value)
    ensemble = best.evidence.ensemble
    if ensemble is None:
        return (own,)
    return own, Recorded("ensemble", ensemble.members, ensemble.by_fold, ensemble.value)
