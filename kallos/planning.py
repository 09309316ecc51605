"""Everything about a study that is settled before its first trial: rows, folds, naive scores, fold jobs."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from kallos.architectures import Architecture, Params, get_architecture
from kallos.architectures.lookup import refuse_missing_packages
from kallos.architectures.study_space import StudySpace, model_of
from kallos.errors import DataError, UsageError, shorten
from kallos.folds import Fold, FoldGrid, InnerCut, cut_inner, fewest_origins
from kallos.metrics import RMSE, mean, metric_source
from kallos.panel import Panel, inner_cuts
from kallos.preprocessing import study_frame
from kallos.scoring import FoldJob, naive_scores, rows_sha256
from kallos.snapshots import frame_sha256, write_snapshot
from kallos.specs import TuneSpec

if TYPE_CHECKING:
    from optuna import Trial

_log = logging.getLogger(__name__)

# Fewer training samples than this teach nothing, and Darts would train on a single one without a word.
FEWEST_SAMPLES = 30

# Raise this whenever a change to asking, telling or pruning moves a trial.
ENGINE_VERSION = 2

Stamp = str | int


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
            version("optuna"),
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
    def _own_space(self) -> list[dict[str, Any]]:
        """What the study file has made of the search space, if it has: recipes' own are in the hash of their source."""
        differing = self.spec.search_space.differing()
        return [differing] if differing else []

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
        """The better naive forecast by mean over the folds."""
        return min(self.naive_values, key=self.naive_values.__getitem__)

    @property
    def naive_value(self) -> float:
        """Mean error over the folds of the better naive forecast."""
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


def plan_study(frame: pd.DataFrame, spec: TuneSpec, snapshots: str) -> StudyPlan:
    """Return the plan of a study on these features, its rows written to the folder (or fsspec URL) of snapshots.

    Features of several assets have an index of two levels, asset and stamp, as `pandas.concat` of a dictionary makes
    it. Of a hold-out not a row is in it. Where the folds cannot hold the longest input that the search space draws, the
    space is clipped. Raises `DataError` if the columns or rows are unfit, or too few for the folds, the horizon and the
    shortest input; `UsageError` for an architecture that is unknown, or that needs a package which is not there.
    """
    refuse_missing_packages(spec.model_name)
    if spec.forecast == "block":
        _log.warning("forecast 'block' reads covariates of the future beyond the horizon: compare by it, trust it not")
    cut = cut_panel(frame, spec)
    panel, grid, open_fold = cut.panel, cut.grid, cut.grid.open_fold
    if open_fold is not None and any(_is_short(fold, spec) for fold in panel.folds_of(open_fold)):
        open_fold = None
    plan = StudyPlan(
        spec=spec,
        snapshot=write_snapshot(panel.frame, snapshots),
        data=_summary(panel, spec),
        folds=tuple(planned_fold(panel, fold, spec) for fold in grid.folds),
        open_fold=None if open_fold is None else planned_fold(panel, open_fold, spec),
        longest_input=cut.longest_input,
        holdout_start=cut.holdout_start,
        holdout_end=cut.holdout_end,
    )
    if plan.naive_value == 0:
        raise DataError(
            f"a target must move for a forecast to be of use, and the naive one ({plan.naive}) makes no error at all "
            f"on {spec.features.target!r}: name another as --target, or choose other dates or --n-folds"
        )
    if not all(0 <= value < math.inf for window in plan.windows for value in window.naive_values.values()):
        raise UsageError(
            f"a metric must be a number of zero or more, less being better, and {spec.metric} of the naive forecasts "
            f"is {shorten(list(plan.naive_values.values()))}"
        )
    return plan


@dataclass(frozen=True, eq=False)
class CutPanel:
    """A study's rows, those of the hold-out cut off, and its folds; see `StudyPlan` for the rest."""

    panel: Panel
    grid: FoldGrid
    longest_input: int | None
    holdout_start: Stamp | None
    holdout_end: Stamp | None


def cut_panel(frame: pd.DataFrame, spec: TuneSpec) -> CutPanel:
    """Return what a study sees of these features; raises as `plan_study` does, and writes nothing."""
    whole = study_panel(frame, spec)
    grid = whole.cut_folds(spec.folds, lead=spec.features.lead, frequency=spec.data.frequency)
    _refuse_short_holdout(grid, spec)
    panel = whole.before(grid.study_stop)
    start, stop = grid.holdout_start, grid.holdout_stop
    return CutPanel(
        panel=panel,
        grid=grid,
        longest_input=_longest_input(panel, grid.folds, spec),
        holdout_start=None if start is None else stamp(whole.calendar[start]),
        holdout_end=None if stop is None else stamp(whole.calendar[stop - 1]),
    )


def study_panel(frame: pd.DataFrame, spec: TuneSpec) -> Panel:
    """Return the rows that a study uses of each of its assets; raises `DataError` as `study_frame` does."""
    assets = spec.data.assets
    if len(assets) == 1:
        return Panel.of({assets[0]: study_frame(frame, spec.features, fill=spec.data.fill)})
    if frame.index.nlevels == 1 or set(assets) - set(frame.index.unique(0)):
        raise DataError(
            f"features of several assets must be indexed by asset and stamp, with rows of each of {shorten(assets)}"
        )
    rows = {}
    for asset in assets:
        with said_of(asset, spec):
            rows[asset] = study_frame(frame.xs(asset), spec.features, fill=spec.data.fill)
    return Panel.of(rows)


@contextmanager
def said_of(asset: str, spec: TuneSpec) -> Iterator[None]:
    """Name the asset in what is said of it, where there are several."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{asset}: {error}" if len(spec.data.assets) > 1 else str(error)) from None


def _summary(panel: Panel, spec: TuneSpec) -> DataSummary:
    frame, calendar = panel.frame, panel.calendar
    return DataSummary(
        sha256=frame_sha256(frame),
        rows=len(frame),
        start=stamp(calendar[0]),
        end=stamp(calendar[-1]),
        by_asset=dict(zip(spec.data.assets, panel.lengths, strict=True)) if len(panel.lengths) > 1 else None,
    )


def _longest_input(panel: Panel, folds: Sequence[Fold], spec: TuneSpec) -> int | None:
    """Return the longest input that all folds of all assets can hold, as `clip_input`; refuses folds that are short."""
    of_assets = [panel.folds_of(fold) for fold in folds]
    cuts = [
        inner_cuts(
            [panel.frame.index[each.train_start : each.train_stop] for each in fold],
            spec.training.inner_validation,
            lead=spec.features.lead,
            horizon=spec.horizon,
        )
        for fold in of_assets
    ]
    fits = []
    for place, asset in enumerate(spec.data.assets):
        with said_of(asset, spec):
            own = [fold[place] for fold in of_assets]
            for fold, dates in zip(own, folds, strict=True):
                if fold.validation_stop == fold.validation_start and len(cuts[0]) > 1:
                    raise DataError(
                        f"each asset of one model must have rows in every fold, and there are none in fold "
                        f"{fold.number}, from {panel.calendar[dates.validation_start]} on: give other dates, or take "
                        f"it out of asset_id"
                    )
                refuse_short_window(fold, spec)
            own_cuts = [cut[place] for cut in cuts]
            fits.append(clip_input(own, spec, own_cuts if len(cuts[0]) > 1 else None))
            for fold, cut in zip(own, own_cuts, strict=True):
                _refuse_short_inner(fold, cut, spec)
    return min((fit for fit in fits if fit is not None), default=None)


def _refuse_short_inner(fold: Fold, cut: InnerCut, spec: TuneSpec) -> None:
    inner = fold.train_stop - fold.train_start - cut.inner_start
    if inner < spec.horizon:
        raise DataError(
            f"the inner validation part must hold one whole horizon: in fold {fold.number} it has {inner} rows, and "
            f"--horizon is {spec.horizon}; take a larger --inner-validation or a shorter --horizon"
        )


def mean_naive_values(windows: Sequence[FoldWindow]) -> dict[str, float]:
    """Return the mean error over the folds of each naive forecast, none where there is no fold."""
    names = windows[0].naive_values if windows else ()
    return {name: mean([window.naive_values[name] for window in windows]) for name in names}


def _refuse_short_holdout(grid: FoldGrid, spec: TuneSpec) -> None:
    if grid.holdout_start is None or grid.holdout_stop is None:
        return
    origins = grid.holdout_stop - grid.holdout_start - spec.horizon + 1
    needed = fewest_origins(spec.features.lead, spec.horizon)
    if origins < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and --holdout {spec.folds.holdout} keeps {max(origins, 0)}: "
            f"take a larger --holdout or a longer --step"
        )


def stamp(moment: pd.Timestamp | int) -> Stamp:
    """Return a row's stamp as JSON holds it: ISO text, or the integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_short_window(fold: Fold, spec: TuneSpec) -> None:
    """Raise `DataError` if no horizon fits the fold's validation window."""
    if _is_short(fold, spec):
        window = fold.validation_stop - fold.validation_start
        raise DataError(
            f"a validation window must hold one whole horizon: fold {fold.number} has {window} rows, and --horizon "
            f"is {spec.horizon}; take a longer --step or a shorter --horizon"
        )


def _is_short(fold: Fold, spec: TuneSpec) -> bool:
    return fold.validation_stop - fold.validation_start < spec.horizon


def clip_input(folds: Sequence[Fold], spec: TuneSpec, cuts: Sequence[InnerCut] | None = None) -> int | None:
    """Return the longest `input_chunk_length` that all folds can hold, or None if they hold the space's longest.

    `cuts` are those of their training rows by date across assets, by default those of an asset that is alone. Raises
    `DataError` if not even the space's shortest fits.
    """
    space = spec.search_space
    lead, horizon = spec.features.lead, spec.horizon
    share = spec.training.inner_validation
    own_cuts = cuts or [cut_inner(fold.shifted(), share, lead=lead, horizon=horizon) for fold in folds]
    fold, cut = min(zip(folds, own_cuts, strict=True), key=lambda each: each[1].fit_stop)
    beside_input = spec.features.lead - 1 + spec.horizon + FEWEST_SAMPLES - 1
    fits, shortest = cut.fit_stop - beside_input, space.shortest_input
    if fits < shortest and cuts is not None:
        raise DataError(
            f"fold {fold.number} needs {shortest + beside_input} rows to fit on ({FEWEST_SAMPLES} samples of the "
            f"shortest input_chunk_length {shortest} and the horizon), and has {cut.fit_stop} before the day on which "
            f"the inner validation part of all assets begins: bring earlier rows, or take it out of asset_id"
        )
    if fits < shortest:
        needed, there = _rows_needed(shortest + beside_input, spec), fold.train_stop - fold.train_start
        raise DataError(
            f"fold {fold.number} needs {needed} training rows ({FEWEST_SAMPLES} samples of the shortest "
            f"input_chunk_length {shortest}, the horizon, and the inner validation part), and there are {there}: "
            f"{_remedy(needed, there, spec)}"
        )
    return fits if fits < space.longest_input else None


def describe_clip(spec: TuneSpec, longest_input: int) -> str:
    """Return in a sentence how a search space was clipped."""
    space = spec.search_space
    return (
        f"the search space is clipped to what fits: input_chunk_length is drawn from {space.shortest_input} to "
        f"{longest_input} rows, not to {space.longest_input}, since the smallest fold holds no longer"
    )


def _remedy(needed: int, there: int, spec: TuneSpec) -> str:
    if spec.folds.train_rows is not None:
        return f"take --train-rows {needed} or more"
    fewer = ", or take fewer --n-folds" if spec.folds.n_folds > 1 else ""
    return f"bring {needed - there} earlier rows{fewer}"


def _rows_needed(fit_rows: int, spec: TuneSpec) -> int:
    """Return the least training rows of which so many are left to fit the weights."""
    rows = fit_rows
    while (
        cut_inner(
            Fold(0, 0, rows, rows, rows),
            spec.training.inner_validation,
            lead=spec.features.lead,
            horizon=spec.horizon,
        ).fit_stop
        < fit_rows
    ):
        rows += 1
    return rows


def planned_fold(panel: Panel, fold: Fold, spec: TuneSpec) -> PlannedFold:
    """Return a fold of the calendar as one of each asset, with its window, naive scores, and the hash of its rows.

    Raises `DataError` if a target that is not alone is constant over an asset's training rows.
    """
    folds = panel.folds_of(fold)
    by_rmse = _naive_by_asset(panel, folds, spec, metric=RMSE)
    measured = None if spec.metric == RMSE else _naive_by_asset(panel, folds, spec, metric=spec.metric)
    window = FoldWindow(
        train_start=stamp(panel.calendar[fold.train_start]),
        train_end=stamp(panel.calendar[fold.train_stop - 1]),
        validation_start=stamp(panel.calendar[fold.validation_start]),
        validation_end=stamp(panel.calendar[fold.validation_stop - 1]),
        naive_rmse={name: mean(errors) for name, errors in by_rmse.items()},
        naive_measured=None if measured is None else {name: mean(errors) for name, errors in measured.items()},
        naive_by_asset=None if len(folds) == 1 else by_rmse if measured is None else measured,
    )
    return PlannedFold(folds[0], window, rows_sha256(panel.frame, folds), beside=folds[1:])


def _naive_by_asset(
    panel: Panel, folds: Sequence[Fold], spec: TuneSpec, *, metric: str
) -> dict[str, tuple[float, ...]]:
    """Return the errors of each naive forecast, one for each asset."""
    each = []
    for asset, fold in zip(spec.data.assets, folds, strict=True):
        with said_of(asset, spec):
            each.append(
                naive_scores(
                    panel.frame,
                    fold,
                    spec.features,
                    spec.horizon,
                    spec.forecast,
                    metric=metric,
                    quantiles=None if metric == RMSE else spec.levels,
                    is_alone=len(folds) == 1,
                )
            )
    return {name: tuple(errors[name] for errors in each) for name in each[0]}
