"""The result of a study."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from kallos.architectures.study_space import model_of
from kallos.baselines.forecasts import best_by_target, counting
from kallos.baselines.scores import mean_by_target
from kallos.features.moments import Timestamp
from kallos.planning import DataSummary, FoldWindow, mean_baseline_metrics
from kallos.scoring.metrics import Scores, mean_of_each
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import Metric, metric_of, metric_of_one_target
from kallos.specs.study import TuneSpec
from kallos.study.trials import TrialRecord, WarmStart


class PartScore(BaseModel):
    """The mean score over the folds on one asset or target, of the best trial and of the baseline."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    baseline: str
    baseline_value: float
    skill: float

    @classmethod
    def of(cls, name: str, value: float, baseline: str, baseline_value: float, metric: Metric) -> Self:
        """Return the score with its skill."""
        skill = metric.skill(value, baseline_value)
        return cls(name=name, value=value, baseline=baseline, baseline_value=baseline_value, skill=skill)


class TuningResult(BaseModel):
    """The result of a study, with the scores of the baselines on the same folds.

    `front` has the trials that no other one dominates, and `best` is the one that the study's rule picks. `baseline` is
    the best of the baselines that count, because the study names them; `baseline_values` has all.
    `pending` counts the trials that were pending when a budget ended the run; the result does not contain them.
    """

    model_config = ConfigDict(frozen=True)

    best: TrialRecord
    front: tuple[int, ...]
    trials: tuple[TrialRecord, ...]
    pending: int = 0
    baseline: str
    baseline_value: float
    baseline_values: dict[str, float]
    windows: tuple[FoldWindow, ...]
    current_window: FoldWindow | None
    current_score: FoldScore | None
    current_reason: str | None
    study_name: str
    warm_start: WarmStart
    longest_input: int | None = None
    holdout_start: Timestamp | None = None
    holdout_end: Timestamp | None = None
    data: DataSummary
    spec: TuneSpec
    versions: dict[str, str]

    @property
    def model_name(self) -> str:
        """Architecture of the best trial."""
        return model_of(self.spec.model_name, self.best.params)[0]

    @property
    def best_params(self) -> dict[str, Any]:
        """All parameters of the best trial, as `create_model` takes them."""
        return model_of(self.spec.model_name, self.best.params)[1]

    @property
    def best_value(self) -> float:
        """Mean of the best trial over the folds, by the study's metric."""
        assert self.best.value is not None
        return self.best.value

    @property
    def metric(self) -> Metric:
        """The study's metric, the first objective."""
        return metric_of(self.spec.metric)

    @property
    def skill(self) -> float:
        """How much better the best trial is than the baseline (`Metric.skill`); negative if it is worse."""
        return self.metric.skill(self.best_value, self.baseline_value)

    @property
    def skills(self) -> dict[str, float]:
        """How much better the best trial is than each baseline, the strongest baseline first."""
        ordered = sorted(self.baseline_values.items(), key=lambda each: self.metric.as_loss(each[1]))
        return {name: self.metric.skill(self.best_value, value) for name, value in ordered}

    @property
    def baseline_metrics(self) -> dict[str, Scores]:
        """Mean over the folds of each baseline by each metric of the study."""
        return mean_baseline_metrics(self.windows)

    @property
    def is_picked(self) -> bool:
        """Whether a rule or a number picked the best trial, because there are several objectives or the study says."""
        return len(self.spec.objectives) > 1 or isinstance(self.spec.pick, int)

    @property
    def folds_won(self) -> int:
        """Number of folds in which the best trial is better than the baseline."""
        pairs = zip(self.windows, self.best.scores, strict=True)
        return sum(self.metric.is_better(score.value, window.baseline_values[self.baseline]) for window, score in pairs)

    @property
    def saved(self) -> float:
        """Share of all folds of all trials that pruning saved."""
        folds = len(self.windows)
        spared = sum(folds - len(trial.scores) for trial in self.trials if trial.state == "pruned")
        return spared / (folds * len(self.trials))

    @property
    def by_asset(self) -> tuple[PartScore, ...]:
        """The best trial and the baseline on each asset."""
        values = mean_of_each([score.by_asset for score in self.best.scores])
        baseline = mean_of_each([window.baseline_by_asset[self.baseline] for window in self.windows])
        parts = zip(self.spec.data.assets, values, baseline, strict=True)
        return tuple(
            PartScore.of(asset, value, self.baseline, baseline_value, self.metric)
            for asset, value, baseline_value in parts
        )

    @property
    def by_target(self) -> tuple[PartScore, ...]:
        """The best trial on each target, and the baseline that is best for it of those that count."""
        values = mean_of_each([score.by_target for score in self.best.scores])
        baseline = counting(mean_by_target([window.baseline_by_target for window in self.windows]), self.spec.baselines)
        own = metric_of(metric_of_one_target(self.spec.metric))
        rules = best_by_target(baseline, own.as_loss)
        return tuple(
            PartScore.of(target, values[i], rule, baseline[rule][i], own)
            for i, (target, rule) in enumerate(zip(self.spec.features.targets, rules, strict=True))
        )
