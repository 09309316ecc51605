"""The plan of a study, made before its first trial: rows, folds, baseline scores, fold jobs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from kallos.architectures import Params, get_architecture
from kallos.architectures.lookup import refuse_missing_packages
from kallos.architectures.losses import loss_source
from kallos.architectures.study_space import StudySpace
from kallos.baselines.forecasts import counting
from kallos.baselines.scores import BaselineScores, score_baselines
from kallos.errors import DataError, UsageError, require
from kallos.features.moments import Timestamp, timestamp
from kallos.features.snapshots import frame_sha256, write_snapshot
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import cut_panel, inner_cuts_of, is_short
from kallos.scoring.job import FitSpec, FoldJob, rows_sha256
from kallos.scoring.machine import version_here
from kallos.scoring.metrics import SCORING_VERSION, Scores, mean, means_of_defined, score_by
from kallos.specs.metrics import RMSE, Metric, metric_of, metric_source
from kallos.specs.study import TuneSpec
from kallos.storage import json_sha256
from kallos.words import shorten

# Raise this whenever a change to asking, telling or pruning changes a trial.
ENGINE_VERSION = 4


class DataSummary(BaseModel):
    """The rows that a study saw, and their number by asset."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    rows: int
    rows_by_asset: dict[str, int]
    start: Timestamp
    end: Timestamp


class FoldWindow(BaseModel):
    """A fold in timestamps, inclusive, with the scores of the baselines.

    `baseline_metrics` has those of each baseline by each metric; the others are by the study's metric, the first
    objective. All but `baseline_by_asset` are means over the assets.
    """

    model_config = ConfigDict(frozen=True)

    train_start: Timestamp
    train_end: Timestamp
    validation_start: Timestamp
    validation_end: Timestamp
    baseline_values: dict[str, float]
    baseline_metrics: dict[str, Scores]
    baseline_by_asset: dict[str, tuple[float, ...]]
    baseline_by_target: dict[str, tuple[float, ...]]

    @property
    def baseline_rmse(self) -> dict[str, float]:
        """The RMSE of each baseline."""
        return {name: score_by(values, RMSE) for name, values in self.baseline_metrics.items()}


@dataclass(frozen=True)
class PlannedFold:
    """The fold of each asset, its window, and the hash of its rows."""

    folds: tuple[Fold, ...]
    window: FoldWindow
    rows_sha256: str

    @property
    def number(self) -> int:
        """Number of the fold."""
        return self.folds[0].number


@dataclass(frozen=True)
class StudyPlan:
    """A study that is ready to run anywhere: it has the address of the rows' snapshot, and makes all jobs.

    `longest_input` is the largest `input_chunk_length` that fits the folds, None if the whole search space fits.
    """

    spec: TuneSpec
    snapshot: str
    data: DataSummary
    folds: tuple[PlannedFold, ...]
    current_fold: PlannedFold | None
    longest_input: int | None = None
    holdout_start: Timestamp | None = None
    holdout_end: Timestamp | None = None

    @cached_property
    def space(self) -> StudySpace:
        """The search space, clipped to what fits the folds; a trial draws all its parameters from it."""
        return self.spec.search_space.clipped(self.longest_input)

    @cached_property
    def study_name(self) -> str:
        """Name of the study, with a hash of everything that its trials and their scores depend on.

        This includes the folds' rows, their processing, the seed, how trials are drawn and pruned, and the metrics that
        are shown, but not the requested dates, the rows of the current window, the number of trials, what is chosen
        from them, budgets and workers.
        """
        spec = self.spec
        shown = [[name, metric_source(name)] for name in spec.scored_metrics]
        content = [self._search_sha256, SCORING_VERSION, shown, spec.cost_bps]
        return f"{spec.model_label}-{spec.data.asset_label}-{json_sha256(content)[:16]}"

    @cached_property
    def _search_sha256(self) -> str:
        """Hash of everything that the parameters of trials depend on."""
        spec = self.spec
        content = [
            [job.fingerprint for name in self.space.spaces for job in self.trial_jobs(0, self.space.defaults(name))],
            [[name, metric_source(name)] for name in spec.objectives],
            spec.features.variance_powers,
            ENGINE_VERSION,
            [spec.seed, spec.pruner, spec.max_pending_trials, spec.warm_start],
            version_here("optuna"),
            self.space.content,
        ]
        return json_sha256(content)

    @property
    def sampler_seed(self) -> str:
        """What the samplers' seeds are derived from: the seed and, with a warm start, what the search depends on.

        With the same seed, a warm start would draw some of the previous study's trials again.
        """
        return f"{self.spec.seed}:{self._search_sha256}" if self.spec.warm_start else str(self.spec.seed)

    @cached_property
    def family(self) -> str:
        """Hash that is the same for studies that may warm-start from each other."""
        spec, features = self.spec, self.spec.features
        content = [
            spec.data.assets,
            [[name, get_architecture(name).source_sha256] for name in self.space.spaces],
            [features.targets, features.label_horizon, spec.horizon],
            [[[name, metric_source(name)] for name in spec.objectives], spec.likelihood, spec.levels],
            [spec.training.loss, loss_source(spec.training.loss)],
            spec.search_space.content,
        ]
        return json_sha256(content)

    @property
    def windows(self) -> tuple[FoldWindow, ...]:
        """The folds' windows."""
        return tuple(planned.window for planned in self.folds)

    @cached_property
    def baseline_values(self) -> dict[str, float]:
        """Mean score over the folds of each baseline that is scored, whether it counts or not."""
        return mean_baseline_values(self.windows)

    @cached_property
    def baseline(self) -> str:
        """The best by mean over the folds of the baselines that count."""
        return best_baseline(self.baseline_values, self.spec.baselines, metric_of(self.spec.metric))

    @cached_property
    def baseline_metrics(self) -> dict[str, Scores]:
        """Mean over the folds of each baseline by each metric."""
        return mean_baseline_metrics(self.windows)

    @property
    def baseline_value(self) -> float:
        """Mean score over the folds of the best baseline."""
        return self.baseline_values[self.baseline]

    def fitting(self, params: Params) -> dict[str, Any]:
        """Return parameters that another study has drawn, adapted to this study's clipped space."""
        return dict(params) if self.longest_input is None else self.space.fitting(params)

    def first_params(self, warm: Sequence[Params]) -> tuple[Params, ...]:
        """Return what the first trials take instead of drawing: a warm start, then each architecture's defaults.

        Defaults that are in the warm start are not tried again. All are by Optuna's names.
        """
        return (*warm, *(params for params in self.space.default_draws() if params not in warm))

    def job(self, name: str, params: Params, planned: PlannedFold) -> FoldJob:
        """Return the job of one parameter set on one fold."""
        return FoldJob(
            name=name,
            snapshot=self.snapshot,
            rows_sha256=planned.rows_sha256,
            folds=planned.folds,
            fit=FitSpec.of(self.spec, params),
        )

    def trial_jobs(self, number: int, params: Params) -> list[FoldJob]:
        """Return the jobs of a trial, in the order of the folds."""
        return [self.job(f"trial-{number}-fold-{planned.number}", params, planned) for planned in self.folds]

    def current_job(self, number: int, params: Params) -> FoldJob | None:
        """Return the job of a trial on the current window, or None if there is no such window."""
        fold = self.current_fold
        return None if fold is None else self.job(f"trial-{number}-current-window", params, fold)


def plan_study(frame: pd.DataFrame, spec: TuneSpec, snapshots: str | Path) -> StudyPlan:
    """Return the plan of a study on these features, and write its rows to the folder (or fsspec URL) of snapshots.

    Features of several assets have an index with the levels asset and timestamp, as from `pandas.concat` of a
    dictionary. The plan has no row of the hold-out. If the search space's longest input does not fit the folds, the
    space is clipped. Raises `DataError` if the columns or rows are unfit, or too few for the folds, the horizon and the
    shortest input; `UsageError` if the architecture is unknown or needs a package that is not installed.
    """
    require(pd.DataFrame, frame=frame)
    require(TuneSpec, spec=spec)
    require((str, Path), snapshots=snapshots)
    refuse_missing_packages(spec.model_name)
    cut = cut_panel(frame, spec)
    panel, grid, current_fold = cut.panel, cut.grid, cut.grid.current_fold
    if current_fold is not None and not _can_be_scored(panel, current_fold, spec, cut.longest_input):
        current_fold = None
    folds, current_folds = planned_folds(
        panel, grid.folds, spec, beyond=() if current_fold is None else (current_fold,)
    )
    plan = StudyPlan(
        spec=spec,
        snapshot=write_snapshot(panel.frame, str(snapshots)),
        data=DataSummary(
            sha256=frame_sha256(panel.frame),
            rows=len(panel.frame),
            start=timestamp(panel.calendar[0]),
            end=timestamp(panel.calendar[-1]),
            rows_by_asset=dict(zip(spec.data.assets, panel.lengths, strict=True)),
        ),
        folds=folds,
        current_fold=next(iter(current_folds), None),
        longest_input=cut.longest_input,
        holdout_start=None if cut.holdout_start is None else timestamp(cut.holdout_start),
        holdout_end=None if cut.holdout_end is None else timestamp(cut.holdout_end),
    )
    metric = metric_of(spec.metric)
    if metric.skill_is == "share" and plan.baseline_value == 0:
        raise DataError(
            f"a target must vary, and the baseline ({plan.baseline}) makes no error on {spec.features.target!r}: "
            f"choose another `target`, other dates or another `n_folds`"
        )
    lowest = 0 if metric.skill_is == "share" else -math.inf
    if not all(lowest <= value < math.inf for window in plan.windows for value in window.baseline_values.values()):
        least = " of at least 0" if lowest == 0 else ""
        raise UsageError(
            f"a metric must return a finite number{least} ({metric.better} is better), and {spec.metric} returns "
            f"{shorten(list(plan.baseline_values.values()))} for the baselines"
        )
    return plan


def _can_be_scored(panel: Panel, current_fold: Fold, spec: TuneSpec, longest_input: int | None) -> bool:
    """Return whether the current window has a whole horizon and as many training rows as the longest input needs."""
    folds = panel.folds_of(current_fold)
    if any(is_short(fold, spec) for fold in folds):
        return False
    return all(
        cut.fit_stop >= (longest_input or spec.search_space.longest_input) + spec.features.lead + spec.horizon
        for cut in inner_cuts_of(panel, folds, spec)
    )


def mean_baseline_values(windows: Sequence[FoldWindow]) -> dict[str, float]:
    """Return the mean score over the folds of each baseline; empty without folds."""
    names = windows[0].baseline_values if windows else ()
    return {name: mean([window.baseline_values[name] for window in windows]) for name in names}


def mean_baseline_metrics(windows: Sequence[FoldWindow]) -> dict[str, Scores]:
    """Return the mean over the folds of each baseline by each metric, where it is defined; empty without folds."""
    names = windows[0].baseline_metrics if windows else ()
    return {name: means_of_defined([window.baseline_metrics[name] for window in windows]) for name in names}


def best_baseline(values: Mapping[str, float], named: Sequence[str], metric: Metric) -> str:
    """Return the best by this metric of the baselines that count, because a study names them."""
    return metric.best_of(counting(values, named))


def planned_folds(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, *, beyond: Sequence[Fold] = ()
) -> tuple[tuple[PlannedFold, ...], tuple[PlannedFold, ...]]:
    """Return the folds planned for each asset, and then those `beyond`, as in `score_baselines`; raises as it does."""
    scores = score_baselines(panel, folds, spec, beyond=beyond)
    planned = tuple(_planned(panel, *each) for each in zip((*folds, *beyond), scores, strict=True))
    return planned[: len(folds)], planned[len(folds) :]


def _planned(panel: Panel, fold: Fold, scores: BaselineScores) -> PlannedFold:
    folds = panel.folds_of(fold)
    window = FoldWindow(
        train_start=timestamp(panel.calendar[fold.train_start]),
        train_end=timestamp(panel.calendar[fold.train_stop - 1]),
        validation_start=timestamp(panel.calendar[fold.validation_start]),
        validation_end=timestamp(panel.calendar[fold.validation_stop - 1]),
        baseline_values=scores.values,
        baseline_metrics=scores.metrics,
        baseline_by_asset=scores.by_asset,
        baseline_by_target=scores.by_target,
    )
    return PlannedFold(folds, window, rows_sha256(panel.frame, folds))
