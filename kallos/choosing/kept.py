"""The kept forecasts of a study's complete trials, as what choosing needs: losses, and candidates for ensembles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.baselines.forecasts import EACH_BEST, baseline_forecasts, with_each_best
from kallos.baselines.scores import windows_of_fold
from kallos.choosing.ensembles import Candidates
from kallos.choosing.losses import FoldLosses, as_values, over_assets
from kallos.features.snapshots import read_snapshot
from kallos.folds.panel import Panel
from kallos.planning import PlannedFold, StudyPlan
from kallos.scoring.forecast import Forecast
from kallos.scoring.job import FoldJob
from kallos.scoring.metrics import losses_by_origin
from kallos.scoring.result import AssetForecasts, FoldResult
from kallos.scoring.score import Scorer
from kallos.specs.metrics import RMSE
from kallos.storage import json_sha256
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, complete_trials

Array = npt.NDArray[np.float64]
# The forecasts of each asset's window.
Forecasts = tuple[Forecast, ...]
# What is held in memory of forecasts that a file also has, and how many arrays a forecast has beside its quantiles.
_MOST_BYTES, _COPIES = 20_000_000, 4


@dataclass(frozen=True, eq=False)
class KeptForecasts:
    """The forecasts of a study's complete trials on all folds; `evaluate` reads them, or makes those that are gone."""

    plan: StudyPlan
    result: TuningResult
    evaluate: Callable[[FoldJob], FoldResult]

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """The complete trials."""
        return complete_trials(self.result.trials)

    @cached_property
    def jobs(self) -> Mapping[int, Sequence[FoldJob]]:
        """The jobs of each trial by its number, one a fold."""
        return {trial.number: self.plan.trial_jobs(trial.number, trial.params) for trial in self.trials}

    @property
    def jobs_sha256(self) -> str:
        """Hash of the study, its best trial and its jobs: of equal ones, the same is chosen and said."""
        fingerprints = [[job.fingerprint for job in each] for each in self.jobs.values()]
        return json_sha256([self.plan.study_name, self.result.best.number, fingerprints])

    @cached_property
    def losses(self) -> FoldLosses:
        """The losses of the baseline and of each trial, in this order, whose mean is the score of a fold.

        The study's metric must be determined by a mean of losses.
        """
        folds = [self._losses(position, planned) for position, planned in enumerate(self.plan.folds)]
        return FoldLosses(tuple(folds), self.plan.spec.features.lead + self.plan.spec.horizon - 1)

    def candidates(self) -> Candidates[Forecasts]:
        """Return what an ensemble is picked from."""
        numbers = tuple(self.jobs)
        assets = [self._result(position, numbers[0]).assets for position in range(len(self.plan.folds))]
        scorer, metric = Scorer.of(self.plan.spec), self.result.metric

        size = sum(asset.quantiles.nbytes for asset in assets[0]) * _COPIES

        # The same forecasts are asked for in each round of the greedy search.
        @lru_cache(maxsize=max(_MOST_BYTES // size, 1))
        def forecast_of(fold: int, trial: int) -> Forecasts:
            return tuple(self._result(fold, trial).forecasts())

        def score(fold: int, forecasts: Forecasts) -> float:
            return scorer.value_of(forecasts, assets[fold])

        return Candidates(
            trials=numbers,
            n_folds=len(self.plan.folds),
            forecast_of=forecast_of,
            mean_of=mean_of,
            score=score,
            direction=metric.direction,
        )

    def _result(self, fold: int, trial: int) -> FoldResult:
        return self.evaluate(self.jobs[trial][fold])

    def _losses(self, position: int, planned: PlannedFold) -> Array:
        """Return the losses of the baseline and the trials on a fold, of shape (forecasters, timestamps)."""
        rows: list[list[Array]] = [[] for _ in planned.folds]
        assets: Sequence[AssetForecasts] = ()
        for trial in self.jobs:
            result = self._result(position, trial)
            assets = result.assets
            for own, forecast, asset in zip(rows, result.forecasts(), assets, strict=True):
                own.append(self._by_origin(forecast.over(asset.unit), asset))
        for own, forecast, asset in zip(rows, self._baseline(planned), assets, strict=True):
            own.insert(0, self._by_origin(forecast, asset))
        index = self._frame.index
        origins = [
            index[fold.validation_start : fold.validation_stop][: len(own[0])].to_numpy()
            for own, fold in zip(rows, planned.folds, strict=True)
        ]
        losses = over_assets([np.stack(own) for own in rows], origins)
        return as_values(losses, "root" if self.result.metric.name == RMSE else "itself")

    def _by_origin(self, forecast: Forecast, asset: AssetForecasts) -> Array:
        scoring = Scorer.of(self.plan.spec).scoring_of(asset)
        return losses_by_origin(self.result.metric.name, forecast, asset.actual / asset.unit, scoring)

    def _baseline(self, planned: PlannedFold) -> list[Forecast]:
        """Return the baseline's forecasts of each asset's window, in units of errors."""
        baseline, rules = self.result.baseline, [part.baseline for part in self.result.by_target]
        names = rules if baseline == EACH_BEST else [baseline]
        panel = Panel(self._frame, tuple(self.plan.data.rows_by_asset.values()))
        windows = windows_of_fold(panel, planned.folds, self.plan.spec)
        return [with_each_best(baseline_forecasts(window, dict.fromkeys(names)), rules)[baseline] for window in windows]

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return read_snapshot(self.plan.snapshot)


def mean_of(forecasts: Sequence[Forecasts], weights: Sequence[float]) -> Forecasts:
    """Return the weighted mean of some forecasts, asset by asset."""
    return tuple(Forecast.mean_of(each, weights) for each in zip(*forecasts, strict=True))
