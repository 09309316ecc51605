"""The result of an evaluation on a hold-out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kallos.features.moments import Timestamp
from kallos.scoring.metrics import Scores, score_by
from kallos.specs.metrics import BUILT_IN, Direction, Metric, recorded_metric
from kallos.words import target_label

Decision = Literal["ship", "keep", "not shown"]


class Result(BaseModel):
    """A frozen result; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ForecastScores(Result):
    """One forecaster's scores over all pairs of origin and step.

    `values` has them by metric: the study's metrics, RMSE, MAE, MASE, direction and rank IC; None where one is not
    defined. Errors are in the target's own units, or in standard deviations of each target if there are several.
    """

    values: Scores


class Comparison(Result):
    """The model compared with another forecaster, origin by origin.

    `skill` is that of the metric that compares them (`Metric.skill`: the share of the other's RMSE that the model
    saves, or by how much its direction is higher), with the interval `low` to `high` by block bootstrap. `statistic`
    and `p_value` are those of the one-sided Diebold-Mariano test of equal accuracy, whose alternative is that the model
    is more accurate, before correction for the number of tests.
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
    unless the study names them; one that cannot be scored is left out. `metric` is the study's first objective, and
    `direction` which way it is better. The comparisons use `loss`, whose mean is the metric, or the squared error if
    there is none; skills are by the metric that follows from its mean, `compared_by_metric`. `holdout_evaluations`
    counts all evaluations on rows of this hold-out so far, including this one, and `tests` the distinct pairs of model
    and window.
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
    direction: Direction
    loss: str
    compared_by_metric: str

    @property
    def target_label(self) -> str:
        """The names of the targets."""
        return target_label(self.target)

    @property
    def first_target(self) -> str:
        """The name of the first target."""
        return self.target if isinstance(self.target, str) else self.target[0]

    @property
    def study_metric(self) -> Metric:
        """The study's metric."""
        return recorded_metric(self.metric, self.direction)

    @property
    def compared_by(self) -> Metric:
        """The metric whose losses the tests compare, of which the skills are."""
        return BUILT_IN[self.compared_by_metric]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that forecasters are scored by, the study's first."""
        return tuple(self.scores["model"].values)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons that were made, each once, the one with the baseline first."""
        others = (each for name, each in self.beside.items() if name != self.baseline)
        champion = () if self.against_champion is None else (self.against_champion,)
        return (self.against_baseline, *others, *champion)

    @property
    def by_metric(self) -> dict[str, float]:
        """Each forecaster's score by the study's metric, the best first."""
        scores = {name: score_by(each.values, self.metric) for name, each in self.scores.items()}
        return dict(sorted(scores.items(), key=lambda each: self.study_metric.as_loss(each[1])))
