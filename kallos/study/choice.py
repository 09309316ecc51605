"""What a study recommends, and what choosing has made of its score."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class OneStandardError(BaseModel):
    """The cheapest trial within one standard error of the best, by their paired differences over the folds.

    `mean_difference` is its mean error less that of the best trial, `standard_error` that of this mean, and `quantile`
    how many of these it may be. `operations` and `best_operations` count the multiply-adds of a forecast of each of the
    two; `within` how many trials were near enough.
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
    """What is left of the best trial's skill once the choice among the trials is counted.

    `apparent_skill` is the share of the naive error that the best trial saves on the folds that chose it, `skill` what
    chosen trials save on folds that did not choose them: `value` is their mean error there, `naive_value` that of the
    naive forecast. `overfitting` is the share of splits into halves in which the trial chosen on one is no better than
    the median one on the other. `method` and `source` say how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    apparent_skill: float
    skill: float
    value: float
    naive_value: float
    overfitting: float
    trials: int
    resamples: int
    method: str
    source: str


class HonestChoice(BaseModel):
    """What a study's trials say once it counts that there were many; None where it was not, or cannot be, found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one_se: OneStandardError | None = None
    deflation: Deflation | None = None


NO_CHOICE = HonestChoice()
