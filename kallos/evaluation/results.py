"""The result of an evaluation on a hold-out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kallos.features.moments import Timestamp
from kallos.words import target_label

Decision = Literal["ship", "keep", "not shown"]


class Result(BaseModel):
    """A frozen result; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ForecastScores(Result):
    """One forecaster's scores over all pairs of origin and step; None if a score is not defined.

    `value` is the study's metric. `value`, `rmse` and `mae` are in the target's own units, or in standard deviations of
    each target if there are several; the others have no unit.
    """

    value: float
    rmse: float
    mae: float
    mase: float | None
    directional_accuracy: float | None
    rank_correlation: float | None


class Comparison(Result):
    """The model compared with another forecaster, origin by origin.

    `skill` is the share of the other's score (such as the RMSE) that the model saves, with the interval `low` to `high`
    by block bootstrap. `statistic` and `p_value` are those of the one-sided Diebold-Mariano test of equal accuracy,
    whose alternative is that the model is more accurate, before correction for the number of tests.
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
    """What to do with the model, and the reasons, one sentence each."""

    decision: Decision
    reasons: tuple[str, ...]


class HoldoutEvaluation(Result):
    """A model's evaluation. `scores` is by forecaster: `model`, the baselines, then `champion`.

    `rmse_by_member` is that of each of the model's members alone, by trial and seed: `3-42`.

    `baseline` names the one (or the best one for each target) with the least mean loss on the hold-out itself of those
    that the study names, so the hardest to beat. `beside` compares the model with HAR and ridge, which decide nothing
    unless the study names them; one that cannot be scored is left out. `metric` is what the study minimised. The
    comparisons use `loss`, whose mean is the metric, or the squared error if there is none; skills are shares of its
    `score`. `holdout_evaluations` counts all evaluations on rows of this hold-out so far, including this one, and
    `tests` the distinct pairs of model and window.
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
    rmse_by_member: dict[str, float]
    baseline: str
    against_baseline: Comparison
    beside: dict[str, Comparison]
    against_champion: Comparison | None
    holdout_evaluations: int = Field(ge=1)
    tests: int = Field(ge=1)
    verdict: Verdict
    metric: str
    loss: str
    score: str

    @property
    def target_label(self) -> str:
        """The names of the targets."""
        return target_label(self.target)

    @property
    def first_target(self) -> str:
        """The name of the first target."""
        return self.target if isinstance(self.target, str) else self.target[0]

    @property
    def metric_label(self) -> str:
        """The name of the study's metric for people: `RMSE`."""
        return self.metric if ":" in self.metric else self.score

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons that were made, each once, the one with the baseline first."""
        others = (each for name, each in self.beside.items() if name != self.baseline)
        champion = () if self.against_champion is None else (self.against_champion,)
        return (self.against_baseline, *others, *champion)

    @property
    def errors(self) -> dict[str, float]:
        """Each forecaster's error by the study's metric."""
        return {name: scores.value for name, scores in self.scores.items()}
