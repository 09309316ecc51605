"""What comes out of a study."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from kallos.architectures.study_space import model_of
from kallos.features.moments import Stamp
from kallos.planning import DataSummary, FoldWindow
from kallos.scoring.job import FoldScore
from kallos.specs.study import TuneSpec
from kallos.study.trials import TrialRecord, WarmStart


class TuningResult(BaseModel):
    """What came out of a study, beside what naive forecasts reach on the same folds.

    `pending` counts the trials that had begun when a budget ended the run, and are not in the result.
    """

    model_config = ConfigDict(frozen=True)

    best: TrialRecord
    trials: tuple[TrialRecord, ...]
    pending: int = 0
    naive: str
    naive_value: float
    naive_values: dict[str, float]
    windows: tuple[FoldWindow, ...]
    open_window: FoldWindow | None
    open_score: FoldScore | None
    open_reason: str | None
    study_name: str
    warm_start: WarmStart
    longest_input: int | None = None
    holdout_start: Stamp | None = None
    holdout_end: Stamp | None = None
    data: DataSummary
    spec: TuneSpec
    versions: dict[str, str]

    @property
    def model_name(self) -> str:
        """Architecture of the best trial."""
        return model_of(self.spec.model_name, self.best.params)[0]

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial, complete, as `create_model` takes them for its architecture."""
        return model_of(self.spec.model_name, self.best.params)[1]

    @property
    def best_value(self) -> float:
        """Mean error of the best trial over the folds, by the study's metric."""
        assert self.best.value is not None
        return self.best.value

    @property
    def gain(self) -> float:
        """Share of the naive forecast's error that the best trial saves; below zero it is worse."""
        return 1 - self.best_value / self.naive_value

    @property
    def saved(self) -> float:
        """Share of all folds of all trials that pruning left out."""
        folds = len(self.windows)
        spared = sum(folds - len(trial.scores) for trial in self.trials if trial.state == "pruned")
        return spared / (folds * len(self.trials))
