"""Cuts a study's rows at the hold-out and into folds, and refuses rows that are too few."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd

from kallos.errors import DataError
from kallos.features.rows import with_own_types
from kallos.folds.columns import observed_rows, refuse_long_label, study_frame
from kallos.folds.cut import Fold, FoldGrid, InnerCut, cut_inner, fewest_origins
from kallos.folds.panel import Panel, inner_cuts
from kallos.folds.rows import require_rows
from kallos.specs.study import TuneSpec
from kallos.words import shorten

# Darts would train on a single sample without a warning.
FEWEST_SAMPLES = 30


@dataclass(frozen=True, eq=False)
class CutPanel:
    """A study's rows without the hold-out, and its folds; see `StudyPlan` for the rest."""

    panel: Panel
    grid: FoldGrid
    longest_input: int | None
    holdout_start: pd.Timestamp | int | None
    holdout_end: pd.Timestamp | int | None


def cut_panel(frame: pd.DataFrame, spec: TuneSpec) -> CutPanel:
    """Return what a study sees of these features; raises as `plan_study` does.

    The cut is made before any value is used, so values of the hold-out can neither cause an error nor help. Only rows
    that hold nothing but what is known ahead are left out before.
    """
    rows = _by_asset(frame, spec)
    whole, grid = cut_timestamps({asset: each.index for asset, each in rows.items()}, spec)
    refuse_short_holdout(grid, spec)
    seen = rows_of_study(whole, grid, spec)
    panel = _panel_of({asset: first_rows(rows[asset], n_rows) for asset, n_rows in seen.items()}, spec)
    start, stop = grid.holdout_start, grid.holdout_stop
    return CutPanel(
        panel=panel,
        grid=grid,
        longest_input=_longest_input(panel, grid.folds, spec),
        holdout_start=None if start is None else whole.calendar[start],
        holdout_end=None if stop is None else whole.calendar[stop - 1],
    )


def cut_timestamps(timestamps: Mapping[str, pd.Index], spec: TuneSpec) -> tuple[Panel, FoldGrid]:
    """Return a panel of each asset's timestamps from the first known label on, and its folds.

    The cut depends on timestamps only. Raises `DataError` as `cut_folds` does, and if an asset has no more rows than
    the label looks ahead.
    """
    features = spec.features
    for asset, index in timestamps.items():
        with naming(asset, spec):
            refuse_long_label(len(index), features)
    whole = Panel.of(
        {asset: pd.DataFrame(index=index[features.label_horizon :]) for asset, index in timestamps.items()}
    )
    return whole, whole.cut_folds(spec.folds, lead=features.lead, frequency=spec.data.frequency)


def rows_of_study(whole: Panel, grid: FoldGrid, spec: TuneSpec) -> dict[str, int]:
    """Return how many rows of each asset, from its first loaded row on, belong to the study.

    The label of the last `label_horizon` of these rows is known only after the cut, and is not used.
    """
    lengths = whole.before(grid.study_stop).lengths
    return {asset: spec.features.label_horizon + n for asset, n in zip(spec.data.assets, lengths, strict=True)}


def first_rows(rows: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Return the first rows with column types inferred from them, so that text in later rows does not count."""
    return rows if n_rows >= len(rows) else with_own_types(rows.iloc[:n_rows].infer_objects())


def rows_of_asset(frame: pd.DataFrame, spec: TuneSpec) -> pd.DataFrame:
    """Return the rows that a study uses of one asset's loaded rows; raises as `study_frame` does."""
    data = spec.data
    return study_frame(frame, spec.features, fill=data.fill, frequency=data.frequency, market=data.market)


def study_panel(frame: pd.DataFrame, spec: TuneSpec) -> Panel:
    """Return the rows that a study uses of each of its assets; raises `DataError` as `study_frame` does."""
    return _panel_of(_by_asset(frame, spec), spec)


def _by_asset(frame: pd.DataFrame, spec: TuneSpec) -> dict[str, pd.DataFrame]:
    """Return the loaded rows of each asset, without those that only tell what is known ahead."""
    assets = spec.data.assets
    if len(assets) == 1:
        require_rows(frame=frame)
        return {assets[0]: observed_rows(frame, spec.features)}
    if frame.index.nlevels == 1 or set(assets) - set(frame.index.unique(0)):
        raise DataError(
            f"features of several assets must be indexed by asset and timestamp, with rows for each of "
            f"{shorten(assets)}"
        )
    rows = {asset: frame.xs(asset) for asset in assets}
    for asset, each in rows.items():
        require_rows(**{f"frame.xs({asset!r})": each})
    return {asset: observed_rows(each, spec.features) for asset, each in rows.items()}


def _panel_of(rows: Mapping[str, pd.DataFrame], spec: TuneSpec) -> Panel:
    panel = {}
    for asset, each in rows.items():
        with naming(asset, spec):
            panel[asset] = rows_of_asset(each, spec)
    return Panel.of(panel)


@contextmanager
def naming(asset: str, spec: TuneSpec) -> Iterator[None]:
    """Name the asset in an error about it if there are several."""
    try:
        yield
    except DataError as error:
        rule = f"{asset}: {error.rule}" if len(spec.data.assets) > 1 else error.rule
        raise DataError(rule, error.remedy, **error.place) from None


def inner_cuts_of(panel: Panel, folds: Sequence[Fold], spec: TuneSpec) -> tuple[InnerCut, ...]:
    """Return the inner validation cut of each asset's training rows in a fold."""
    timestamps = [panel.frame.index[fold.train_start : fold.train_stop] for fold in folds]
    return inner_cuts(timestamps, spec.training.inner_validation, lead=spec.features.lead, horizon=spec.horizon)


def _longest_input(panel: Panel, folds: Sequence[Fold], spec: TuneSpec) -> int | None:
    """Return the longest input that fits all folds of all assets, as `clip_input` does; refuses short folds."""
    of_assets = [panel.folds_of(fold) for fold in folds]
    cuts = [inner_cuts_of(panel, fold, spec) for fold in of_assets]
    fits = []
    for position, asset in enumerate(spec.data.assets):
        with naming(asset, spec):
            own = [fold[position] for fold in of_assets]
            for fold, dates in zip(own, folds, strict=True):
                if fold.validation_stop == fold.validation_start and len(cuts[0]) > 1:
                    raise DataError(
                        f"every asset of a model must have rows in every fold, and has none in fold {fold.number}, "
                        f"from {panel.calendar[dates.validation_start]} on",
                        "change the dates, or remove the asset from asset_id",
                    )
                refuse_short_window(fold, spec)
            own_cuts = [cut[position] for cut in cuts]
            fits.append(clip_input(own, spec, own_cuts if len(cuts[0]) > 1 else None))
            for fold, cut in zip(own, own_cuts, strict=True):
                inner = fold.train_stop - fold.train_start - cut.inner_start
                if inner < spec.horizon:
                    raise DataError(
                        f"inner validation must have at least `horizon` {spec.horizon} rows: in fold {fold.number} it "
                        f"has {inner}",
                        "increase `inner_validation`, or reduce `horizon`",
                    )
    return min((fit for fit in fits if fit is not None), default=None)


def refuse_short_holdout(grid: FoldGrid, spec: TuneSpec) -> None:
    """Raise `DataError` if the hold-out has too few forecast origins for a verdict."""
    if grid.holdout_start is None or grid.holdout_stop is None:
        return
    origins = grid.holdout_stop - grid.holdout_start - spec.horizon + 1
    needed = fewest_origins(spec.features.lead, spec.horizon)
    if origins < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and `holdout` {spec.folds.holdout} has {max(origins, 0)}",
            "increase `holdout`, or choose a longer `window`",
            fault="too-few-rows",
        )


def refuse_short_window(fold: Fold, spec: TuneSpec) -> None:
    """Raise `DataError` if the fold's validation window is shorter than the horizon."""
    if is_short(fold, spec):
        window = fold.validation_stop - fold.validation_start
        raise DataError(
            f"a validation window must have at least `horizon` {spec.horizon} rows: fold {fold.number} has {window}",
            "choose a longer `window`, or reduce `horizon`",
            fault="short-window",
        )


def is_short(fold: Fold, spec: TuneSpec) -> bool:
    """Return whether the fold's validation window is shorter than the horizon."""
    return fold.validation_stop - fold.validation_start < spec.horizon


def clip_input(folds: Sequence[Fold], spec: TuneSpec, cuts: Sequence[InnerCut] | None = None) -> int | None:
    """Return the longest `input_chunk_length` that fits all folds, or None if the search space's longest does.

    `cuts` are the inner cuts by date across assets, by default those of a single asset. Raises `DataError` if not even
    the search space's shortest fits.
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
            f"fold {fold.number} needs {shortest + beside_input} rows to fit on ({FEWEST_SAMPLES} samples with the "
            f"shortest input_chunk_length {shortest} and the horizon), and has {cut.fit_stop} before the inner "
            f"validation of all assets begins",
            "bring earlier rows, or remove the asset from asset_id",
            fault="short-training",
        )
    if fits < shortest:
        needed, available = _rows_needed(shortest + beside_input, spec), fold.train_stop - fold.train_start
        raise DataError(
            f"fold {fold.number} needs {needed} training rows ({FEWEST_SAMPLES} samples with the search space's "
            f"shortest input_chunk_length {shortest}, the horizon, and inner validation), and has {available}",
            _remedy(needed, available, spec),
            fault="short-training",
        )
    return fits if fits < space.longest_input else None


def describe_clip(spec: TuneSpec, longest_input: int) -> str:
    """Say in a sentence how the search space was clipped."""
    space = spec.search_space
    return (
        f"the search space is clipped: input_chunk_length is drawn from {space.shortest_input} to {longest_input} "
        f"instead of {space.longest_input} rows, since longer inputs do not fit the smallest fold"
    )


def _remedy(needed: int, available: int, spec: TuneSpec) -> str:
    if spec.folds.train_rows is not None:
        return f"increase `train_rows` to {needed} or more"
    fewer = ", or reduce `n_folds`" if spec.folds.n_folds > 1 else ""
    return f"bring {needed - available} earlier rows{fewer}"


def _rows_needed(fit_rows: int, spec: TuneSpec) -> int:
    """Return the fewest training rows that leave so many to fit the weights."""
    share, lead, horizon = spec.training.inner_validation, spec.features.lead, spec.horizon
    rows = fit_rows
    while cut_inner(Fold(0, 0, rows, rows, rows), share, lead=lead, horizon=horizon).fit_stop < fit_rows:
        rows += 1
    return rows
