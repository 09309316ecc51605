"""Everything about a study that is settled before its first trial: rows, folds, naive scores, fold jobs."""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from kallos.architectures import Architecture, Params, get_architecture
from kallos.architectures.lookup import refuse_missing_packages
from kallos.architectures.study_space import StudySpace, model_of
from kallos.baselines.scores import (
    Errors,
    better_by_target,
    naive_by_asset,
    naive_by_target,
)
from kallos.errors import DataError, UsageError, require
from kallos.features.moments import Stamp, stamp
from kallos.features.snapshots import frame_sha256, write_snapshot
from kallos.folds.cut import cut_panel, inner_cuts_of, is_short
from kallos.folds.grid import Fold
from kallos.folds.panel import Panel
from kallos.scoring.job import FoldJob, rows_sha256
from kallos.scoring.machine import version_here
from kallos.scoring.metrics import mean
from kallos.specs.metrics import RMSE, metric_source
from kallos.specs.study import TuneSpec
from kallos.words import shorten

if TYPE_CHECKING:
    from optuna import Trial

_log = logging.getLogger(__name__)


# Raise this whenever a change to asking, telling or pruning moves a trial.
ENGINE_VERSION = 2


class DataSummary(BaseModel):
    """Which rows a study saw."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    rows: int
    start: Stamp
    end: Stamp
    # Rows of each asset, where there are several.
    by_asset: dict[str, int] | None = Field(None, exclude_if=lambda by_asset: by_asset is None)


class FoldWindow(BaseModel):
    """A fold in the data's own stamps, all inclusive, with the naive forecasts' RMSE in it."""

    model_config = ConfigDict(frozen=True)

    train_start: Stamp
    train_end: Stamp
    validation_start: Stamp
    validation_end: Stamp
    naive_rmse: dict[str, float]
    # Not written where it is the RMSE: such studies are as they were when nothing else could be minimised.
    naive_measured: dict[str, float] | None = Field(None, exclude_if=lambda measured: measured is None)
    # By the study's metric, for each asset, where there are several: the others are means over the assets then.
    naive_by_asset: dict[str, tuple[float, ...]] | None = Field(None, exclude_if=lambda by_asset: by_asset is None)
    # Likewise for each target alone, where there are several.
    naive_by_target: dict[str, tuple[float, ...]] | None = Field(None, exclude_if=lambda by_target: by_target is None)

    @property
    def naive_values(self) -> dict[str, float]:
        """The naive forecasts' errors by the study's metric."""
        return self.naive_rmse if self.naive_measured is None else self.naive_measured


@dataclass(frozen=True)
class PlannedFold:
    """A fold, where it lies in the data, and the hash of the rows that it sees.

    Of several assets, `fold` is that of the first, and the others' are `beside` it.
    """

    fold: Fold
    window: FoldWindow
    rows_sha256: str
    beside: tuple[Fold, ...] = ()


@dataclass(frozen=True)
class StudyPlan:
    """A study, ready to run anywhere: its rows lie in a snapshot, and every job can be made from here.

    `longest_input` is the largest `input_chunk_length` that fits its folds, None where the whole search space does.
    """

    spec: TuneSpec
    snapshot: str
    data: DataSummary
    folds: tuple[PlannedFold, ...]
    open_fold: PlannedFold | None
    longest_input: int | None = None
    holdout_start: Stamp | None = None
    holdout_end: Stamp | None = None

    @cached_property
    def space(self) -> StudySpace:
        """What a trial draws, clipped to what fits the folds."""
        return self.spec.search_space.clipped(self.longest_input)

    @property
    def architecture(self) -> Architecture:
        """The recipe that is tuned, the first of several."""
        return get_architecture(next(iter(self.space.spaces)))

    @cached_property
    def study_name(self) -> str:
        """Name of the study, with a hash of all that its result depends on.

        In the hash are the rows that its folds see, what is done to them, the seed, and how trials are drawn and
        pruned. Not in it: dates asked for, rows of the open step, the number of trials, budgets, workers.
        """
        spec = self.spec
        content = [
            [job.fingerprint for name in self.space.spaces for job in self.trial_jobs(0, self.space.defaults(name))],
            ENGINE_VERSION,
            [spec.seed, spec.pruner, spec.lookahead, spec.warm_start],
            version_here("optuna"),
            # A space that fits as a whole is the one that studies had before any was clipped.
            *([] if self.longest_input is None else [self.longest_input]),
            *self._own_space,
        ]
        return f"{spec.model_label}-{spec.data.asset_label}-{_sha256(content)[:16]}"

    @property
    def sampler_seed(self) -> str:
        """What the samplers' seeds are drawn from: the seed alone, or, if it starts warm, the study's name too.

        A study that starts from another's best trials would otherwise go on with some that the other has drawn.
        """
        return f"{self.spec.seed}:{self.study_name}" if self.spec.warm_start else str(self.spec.seed)

    @cached_property
    def family(self) -> str:
        """Hash of what studies have in common that may start from each other's best parameters."""
        spec, features = self.spec, self.spec.features
        forecast = [features.target, features.label_horizon, spec.horizon, spec.forecast, *self._own_measure]
        sources = "".join(get_architecture(name).source_sha256 for name in self.space.spaces)
        return _sha256([spec.data.asset_label, ",".join(self.space.spaces), sources, forecast, *self._own_space])

    @cached_property
    def _own_space(self) -> list[Any]:
        """What the study file has made of the search space, if it has, and that of architectures of one's own.

        Those of the recipes that are shipped are in the hash of their source.
        """
        space = self.spec.search_space
        return [each for each in (space.differing(), space.of_ones_own()) if each]

    @property
    def _own_measure(self) -> list[Any]:
        """What is minimised and forecast, if it is other than the RMSE of points."""
        spec = self.spec
        measure = [] if spec.metric == RMSE else [[spec.metric, metric_source(spec.metric)]]
        return measure if spec.levels is None else [*measure, list(spec.levels)]

    @property
    def windows(self) -> tuple[FoldWindow, ...]:
        """The folds' windows, in their order."""
        return tuple(planned.window for planned in self.folds)

    @cached_property
    def naive_values(self) -> dict[str, float]:
        """Mean error over the folds of each naive forecast."""
        return mean_naive_values(self.windows)

    @cached_property
    def naive(self) -> str:
        """The best naive forecast by mean over the folds."""
        return min(self.naive_values, key=self.naive_values.__getitem__)

    @property
    def naive_value(self) -> float:
        """Mean error over the folds of the best naive forecast."""
        return self.naive_values[self.naive]

    def suggest(self, trial: "Trial") -> dict[str, Any]:
        """Draw a full set of parameters from the search space, clipped to what fits the folds."""
        return self.space.draw(trial)

    def fitting(self, params: Params) -> dict[str, Any]:
        """Return what a trial of another study has drawn as this one's clipped space has it."""
        return dict(params) if self.longest_input is None else self.space.fitting(params)

    def job(self, name: str, params: Params, planned: PlannedFold) -> FoldJob:
        """Return the job of one parameter set on one fold."""
        spec = self.spec
        model_name, own_params = model_of(spec.model_name, params)
        return FoldJob(
            name=name,
            snapshot=self.snapshot,
            rows_sha256=planned.rows_sha256,
            fold=planned.fold,
            beside=planned.beside,
            model_name=model_name,
            params=own_params,
            features=spec.features,
            training=spec.training,
            horizon=spec.horizon,
            forecast=spec.forecast,
            seed=spec.seed,
            metric=spec.metric,
            quantiles=spec.levels,
        )

    def trial_jobs(self, number: int, params: Params) -> list[FoldJob]:
        """Return the jobs of a trial, in the order of the folds."""
        return [self.job(f"trial-{number}-fold-{planned.fold.number}", params, planned) for planned in self.folds]

    def open_job(self, number: int, params: Params) -> FoldJob | None:
        """Return the job of a trial on the step that is not over yet, or None where there is no such step."""
        return None if self.open_fold is None else self.job(f"trial-{number}-open-step", params, self.open_fold)


def plan_study(frame: pd.DataFrame, spec: TuneSpec, snapshots: str | Path) -> StudyPlan:
    """Return the plan of a study on these features, its rows written to the folder (or fsspec URL) of snapshots.

    Features of several assets have an index of two levels, asset and stamp, as `pandas.concat` of a dictionary makes
    it. Of a hold-out not a row is in it. Where the folds cannot hold the longest input that the search space draws, the
    space is clipped. Raises `DataError` if the columns or rows are unfit, or too few for the folds, the horizon and the
    shortest input; `UsageError` for an architecture that is unknown, or that needs a package which is not there.
    """
    require(pd.DataFrame, frame=frame)
    require(TuneSpec, spec=spec)
    require((str, Path), snapshots=snapshots)
    refuse_missing_packages(spec.model_name)
    if spec.forecast == "block":
        _log.warning("forecast 'block' reads covariates of the future beyond the horizon: compare by it, trust it not")
    cut = cut_panel(frame, spec)
    panel, grid, open_fold = cut.panel, cut.grid, cut.grid.open_fold
    if open_fold is not None and not _can_be_scored(panel, open_fold, spec, cut.longest_input):
        open_fold = None
    folds, open_folds = planned_folds(panel, grid.folds, spec, beyond=() if open_fold is None else (open_fold,))
    plan = StudyPlan(
        spec=spec,
        snapshot=write_snapshot(panel.frame, str(snapshots)),
        data=_summary(panel, spec),
        folds=folds,
        open_fold=next(iter(open_folds), None),
        longest_input=cut.longest_input,
        holdout_start=None if cut.holdout_start is None else stamp(cut.holdout_start),
        holdout_end=None if cut.holdout_end is None else stamp(cut.holdout_end),
    )
    if plan.naive_value == 0:
        raise DataError(
            f"a target must move for a forecast to be of use, and the naive one ({plan.naive}) makes no error at all "
            f"on {spec.features.target!r}: name another as `target`, or choose other dates or `n_folds`"
        )
    if not all(0 <= value < math.inf for window in plan.windows for value in window.naive_values.values()):
        raise UsageError(
            f"a metric must be a number of zero or more, less being better, and {spec.metric} of the naive forecasts "
            f"is {shorten(list(plan.naive_values.values()))}"
        )
    return plan


def _summary(panel: Panel, spec: TuneSpec) -> DataSummary:
    frame, calendar = panel.frame, panel.calendar
    return DataSummary(
        sha256=frame_sha256(frame),
        rows=len(frame),
        start=stamp(calendar[0]),
        end=stamp(calendar[-1]),
        by_asset=dict(zip(spec.data.assets, panel.lengths, strict=True)) if len(panel.lengths) > 1 else None,
    )


def _can_be_scored(panel: Panel, open_fold: Fold, spec: TuneSpec, longest_input: int | None) -> bool:
    """Return whether the step that is not over yet has a whole horizon, and as much to train on as the folds."""
    folds = panel.folds_of(open_fold)
    if any(is_short(fold, spec) for fold in folds):
        return False
    return len(folds) == 1 or all(
        cut.fit_stop >= (longest_input or spec.search_space.longest_input) + spec.features.lead + spec.horizon
        for cut in inner_cuts_of(panel, folds, spec)
    )


def mean_naive_values(windows: Sequence[FoldWindow]) -> dict[str, float]:
    """Return the mean error over the folds of each naive forecast, none where there is no fold."""
    names = windows[0].naive_values if windows else ()
    return {name: mean([window.naive_values[name] for window in windows]) for name in names}


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def planned_folds(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, *, beyond: Sequence[Fold] = ()
) -> tuple[tuple[PlannedFold, ...], tuple[PlannedFold, ...]]:
    """Return folds of the calendar as ones of each asset, with their windows, naive scores, and hashes of their rows.

    Of several targets each has its own better naive forecast by the mean over the folds, which those `beyond` have no
    part in: they come second. Raises `DataError` if a target that is not alone is constant over an asset's training
    rows.
    """
    by_target = [naive_by_target(panel, fold, spec) for fold in folds]
    rules = better_by_target(by_target)
    return (
        tuple(_planned(panel, fold, spec, each, rules) for fold, each in zip(folds, by_target, strict=True)),
        tuple(_planned(panel, fold, spec, naive_by_target(panel, fold, spec), rules) for fold in beyond),
    )


def _planned(panel: Panel, fold: Fold, spec: TuneSpec, by_target: Errors | None, rules: tuple[str, ...]) -> PlannedFold:
    folds = panel.folds_of(fold)
    # One that is the same for all targets is there by its own name.
    own_rules = rules if len(set(rules)) > 1 else None
    by_rmse = naive_by_asset(panel, folds, spec, RMSE, own_rules)
    measured = None if spec.metric == RMSE else naive_by_asset(panel, folds, spec, spec.metric, own_rules)
    window = FoldWindow(
        train_start=stamp(panel.calendar[fold.train_start]),
        train_end=stamp(panel.calendar[fold.train_stop - 1]),
        validation_start=stamp(panel.calendar[fold.validation_start]),
        validation_end=stamp(panel.calendar[fold.validation_stop - 1]),
        naive_rmse={name: mean(errors) for name, errors in by_rmse.items()},
        naive_measured=None if measured is None else {name: mean(errors) for name, errors in measured.items()},
        naive_by_asset=None if len(folds) == 1 else by_rmse if measured is None else measured,
        naive_by_target=by_target,
    )
    return PlannedFold(folds[0], window, rows_sha256(panel.frame, folds), beside=folds[1:])
