"""Which trial to train, and how much of its gain the choice among many has made."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class OneStandardError(BaseModel):
    """The cheapest trial within one standard error of the best, by their paired differences over the folds.

    `mean_difference` is its mean RMSE less that of the best trial, `standard_error` that of this mean. `weights` and
    `best_weights` count what each of the two has to learn; `within` how many trials were near enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    params: dict[str, Any]
    value: float
    mean_difference: float
    standard_error: float
    weights: int
    best_weights: int
    within: int


class Deflation(BaseModel):
    """What is left of the best trial's gain once the choice among the trials is counted.

    `apparent_gain` is the share of the naive RMSE that the best trial saves on the folds that chose it, `gain` what
    chosen trials save on folds that did not choose them, and `overfitting` the share of resamples in which the chosen
    trial is no better than the median one on those. `method` and `source` say how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    apparent_gain: float
    gain: float
    value: float
    naive_value: float
    overfitting: float
    trials: int
    resamples: int
    method: str
    source: str
