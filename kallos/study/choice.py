"""What a study recommends, and how much of its score is due to choosing."""

import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from kallos.specs.study import Choose


class Member(BaseModel):
    """A trial with its parameters as drawn, and its weight in the mean of the members; the weights add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    weight: PositiveFloat


# What may not have been found, and why.
WANTED: dict[Choose, str] = {"best": "best trial", "simplest": "simplest trial", "ensemble": "ensemble"}
WHY_NONE: dict[Choose, str] = {
    "simplest": "its confidence set or its operations are unknown",
    "ensemble": "one needs two complete trials and four folds",
}


class Deflation(BaseModel):
    """What is left of the best trial's skill after accounting for the choice among the trials.

    `apparent_skill` is the best trial's skill on the folds that chose it; `skill` is that of chosen trials on folds
    that did not choose them, from their mean error `value` and the baseline's `baseline_value`. `overfitting` is the
    share of splits into halves in which the trial chosen on one half is no better than the median trial on the other.
    `method` and `source` describe the estimate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    apparent_skill: float
    skill: float
    value: float
    baseline_value: float
    overfitting: float
    trials: int
    resamples: int
    method: str
    source: str


class Choice(BaseModel):
    """The trials whose weighted mean is forecast, with weights that add up to 1; for `best` and `simplest` it is one.

    The forecast of a trial is the mean over its seeds, if it is fitted with several. `choose` is what was found, and
    `note` says why if something else was asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choose: Choose
    members: tuple[Member, ...] = Field(min_length=1)
    note: str | None = None

    @model_validator(mode="after")
    def _is_a_mean(self) -> Self:
        if len({member.trial for member in self.members}) < len(self.members):
            raise ValueError("members must be distinct trials")
        if not math.isclose(sum(member.weight for member in self.members), 1):
            raise ValueError("the weights of the members must add up to 1")
        return self

    @property
    def trials(self) -> tuple[int, ...]:
        """The numbers of the trials."""
        return tuple(member.trial for member in self.members)

    def member(self, trial: int) -> Member:
        """Return the member that is this trial."""
        return next(member for member in self.members if member.trial == trial)


class ConfidenceSet(BaseModel):
    """The trials that cannot be told from the best at a level: those with a p-value above it.

    `p_values` has those of all complete trials by their numbers. `distinct` counts the trials that differ in their
    losses. The folds were resampled in blocks of `block_length` origins. `method` and `source` describe the test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float
    trials: tuple[int, ...]
    p_values: dict[int, float]
    distinct: int
    block_length: int
    resamples: int
    method: str
    source: str


class Simplest(BaseModel):
    """The cheapest trial of the confidence set.

    `operations` and `best_operations` count the multiply-adds of one forecast of this trial and of the best one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    value: float
    operations: int
    best_operations: int


class Superiority(BaseModel):
    """A test of whether the best of all trials is better than the baseline, against that it is so by chance.

    `p_value` accounts for the number of trials. `method` and `source` describe the test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    p_value: float
    baseline: str
    trials: int
    block_length: int
    resamples: int
    method: str
    source: str


class OnLaterFolds(BaseModel):
    """What an ensemble is worth: each is picked on the folds before the one on which it is scored.

    `value` is the mean score of the ensembles, and `best_value` that of the best trials, picked on the same earlier
    folds. `saving` is the share of the latter's error that ensembles save, or by how much they are better if
    `saving_is` a difference; negative if they are worse, and None if the best trials make no error or an infinite one.
    Ensembles are better in `won` of the `folds` that were scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    best_value: float
    saving: float | None
    saving_is: Literal["share", "difference"]
    won: int
    folds: int


class Ensemble(BaseModel):
    """Trials picked on all folds, whose mean is forecast; `by_fold` has its scores on these very folds,
    and `value` is their mean.

    `picks` counts the picks of all members, each once or several times, and `candidates` the trials that they were
    picked from. `source` is that of the method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[Member, ...]
    picks: PositiveInt
    by_fold: tuple[float, ...]
    value: float
    on_later_folds: OnLaterFolds
    candidates: int
    source: str

    def times(self, member: Member) -> int:
        """Return how often a member was picked."""
        return round(member.weight * self.picks)


class HonestChoice(BaseModel):
    """What a study recommends, and what choosing has made; None for what was not or cannot be computed.

    `jobs_sha256` is that of the `KeptForecasts` which it is computed from, so that it is computed once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs_sha256: str | None = None
    confidence: ConfidenceSet | None = None
    simplest: Simplest | None = None
    ensemble: Ensemble | None = None
    superiority: Superiority | None = None
    deflation: Deflation | None = None

    def choice(self, choose: Choose, best: Member) -> Choice:
        """Return the trials whose mean is forecast; the best one, with a note, if what is asked for was not found."""
        match choose:
            case "simplest" if self.simplest is not None:
                simplest = Member(trial=self.simplest.trial, params=self.simplest.params, weight=1)
                return Choice(choose=choose, members=(simplest,))
            case "ensemble" if self.ensemble is not None:
                return Choice(choose=choose, members=self.ensemble.members)
            case "best":
                return Choice(choose=choose, members=(best,))
        note = f"there is no {WANTED[choose]}, so it is the best trial: {WHY_NONE[choose]}"
        return Choice(choose="best", members=(best,), note=note)


NO_CHOICE = HonestChoice()
