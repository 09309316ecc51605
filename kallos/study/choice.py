"""What a study recommends, and how much of its score is due to choosing."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# What a study chooses: its best trial, the cheapest that cannot be told from it, or an ensemble of trials.
Choose = Literal["best", "simplest", "ensemble"]


class OneStandardError(BaseModel):
    """The cheapest trial within one standard error of the best, by their paired differences over the folds.

    `mean_difference` is its mean error minus the best trial's, which may be up to `quantile` times the
    `standard_error`. `operations` and `best_operations` count the multiply-adds of one forecast of each of the two.
    `within` counts the trials that were close enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    value: float
    mean_difference: float
    standard_error: float
    quantile: float
    operations: int
    best_operations: int
    within: int


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


class Member(BaseModel):
    """A trial of what is chosen, with all its parameters; it counts `times` in the mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    times: int = Field(default=1, ge=1)


class Choice(BaseModel):
    """The trials whose mean is forecast; for `best` and `simplest` it is one.

    The forecast of a trial is the mean over its seeds, if it is fitted with several. `choose` is what was found, and
    `note` says why if something else was asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choose: Choose
    members: tuple[Member, ...] = Field(min_length=1)
    note: str | None = None


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
    """Trials picked on all folds, whose mean is forecast; `value` is its score on these very folds.

    `candidates` counts the trials that it was picked from. `source` is that of the method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[Member, ...]
    value: float
    on_later_folds: OnLaterFolds
    candidates: int
    source: str

    @property
    def size(self) -> int:
        """Number of picks; a trial may be picked several times."""
        return sum(member.times for member in self.members)

    @property
    def weights(self) -> dict[int, float]:
        """The weight of each trial in the mean."""
        return {member.trial: member.times / self.size for member in self.members}


class HonestChoice(BaseModel):
    """What a study recommends, and what choosing has made; None for what was not or cannot be computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one_se: OneStandardError | None = None
    confidence: ConfidenceSet | None = None
    simplest: Simplest | None = None
    ensemble: Ensemble | None = None
    superiority: Superiority | None = None
    deflation: Deflation | None = None


NO_CHOICE = HonestChoice()
