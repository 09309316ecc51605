"""What a study recommends, and how much of its score is due to choosing."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat

Choose = Literal["best", "simplest", "ensemble"]


class Member(BaseModel):
    """A trial with its parameters as drawn, and its weight in the mean of the members; the weights add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    weight: PositiveFloat


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


class HonestChoice(BaseModel):
    """The recommended trial and the deflated skill; None if they were not or cannot be computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one_se: OneStandardError | None = None
    deflation: Deflation | None = None


NO_CHOICE = HonestChoice()
