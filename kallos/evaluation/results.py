"""What comes out of an evaluation on a hold-out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kallos.words import target_label

Timestamp = str | int
Decision = Literal["ship", "keep", "no better than naive"]


class Result(BaseModel):
    """A frozen result; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ForecastScores(Result):
    """How one forecaster did over all (origin, step) pairs; None where a score is not defined.

    `value` is by the study's metric. It, `rmse` and `mae` are in the target's own units, of several targets in each
    one's standard deviations; the others have none.
    """

    value: float
    rmse: float
    mae: float
    mase: float | None
    directional_accuracy: float | None
    rank_correlation: float | None


class Comparison(Result):
    """The model against another forecaster, origin by origin.

    `skill` is the share of the other's score (RMSE, or that of another loss) that the model saves, below zero where it
    is worse, and `low` to `high` its interval by block bootstrap. `statistic` and `p_value` are of the Diebold-Mariano
    test of equal accuracy against the model being the more accurate one, before any correction for the models that were
    tried.
    """

    other: str
    skill: float
    low: float
    high: float
    confidence: float
    block_length: float
    statistic: float
    p_value: float


class Verdict(Result):
    """What to do with the model, and why, a sentence each."""

    decision: Decision
    reasons: tuple[str, ...]


class HoldoutEvaluation(Result):
    """A model on the hold-out: `scores` has a forecaster each, `model` first, then the naive ones, `ridge`, `champion`.

    `naive` is the one of least mean loss on the hold-out itself, of several targets of the least for each, which is the
    hardest one to beat. `metric` is what the
    study minimised, and `loss` what the comparisons are of: the one whose mean the metric is, or else the squared
    error; skills are shares of its `score`. `holdout_evaluations` counts the evaluations of any model on rows of this
    hold-out so far, this one included, and `tests` the different tests: a model on a window each.
    """

    model_id: str
    champion_id: str | None
    asset_id: str
    target: str | tuple[str, ...]
    horizon: int
    test_start: Timestamp
    test_end: Timestamp
    n_origins: int
    data_sha256: str
    level: float
    scores: dict[str, ForecastScores]
    rmse_by_seed: dict[str, float]
    naive: str
    against_naive: Comparison
    against_ridge: Comparison
    against_champion: Comparison | None
    holdout_evaluations: int = Field(ge=1)
    tests: int = Field(ge=1)
    verdict: Verdict
    metric: str
    loss: str
    score: str

    @property
    def target_label(self) -> str:
        """What is forecast, in words."""
        return target_label(self.target)

    @property
    def first_target(self) -> str:
        """The target, of several the first."""
        return self.target if isinstance(self.target, str) else self.target[0]

    @property
    def metric_label(self) -> str:
        """The name of the study's metric for people: `RMSE`."""
        return self.metric if ":" in self.metric else self.score

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What the model was held against, the best naive forecast first."""
        found = (self.against_naive, self.against_ridge, self.against_champion)
        return tuple(comparison for comparison in found if comparison is not None)

    @property
    def errors(self) -> dict[str, float]:
        """Each forecaster's error by the study's metric."""
        return {name: scores.value for name, scores in self.scores.items()}
