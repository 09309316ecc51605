"""Faults of folds: too few rows, or nothing to learn or to forecast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, SeenFold, noted
from kallos.errors import DataError
from kallos.features.frequency import SESSIONS, Frequency
from kallos.folds.cut import Fold, cut_folds, cut_inner
from kallos.folds.study import clip_input, describe_clip, refuse_short_holdout, refuse_short_window
from kallos.specs.study import TuneSpec
from kallos.words import pasteable


@dataclass(frozen=True)
class SeenStudy:
    """What a study sees of an asset's rows, judged by timestamps alone.

    It uses the first `n_rows` loaded rows; the hold-out has the others. `longest_input` is the input length that the
    search space is clipped to.
    """

    n_rows: int
    folds: tuple[Fold, ...] = ()
    longest_input: int | None = None


def cut_study(index: pd.Index, spec: TuneSpec, frequency: Frequency | None, findings: list[Finding]) -> SeenStudy:
    """Return what a study sees of rows with these timestamps, as far as they can be cut into folds.

    Rows without a regular frequency are cut as sessions, which may have gaps. Rows without timestamps are not cut.
    """
    n_rows, label_horizon = len(index), spec.features.label_horizon
    index = index[label_horizon:]
    if index.empty or (frequency is None and not isinstance(index, pd.DatetimeIndex)):
        return SeenStudy(n_rows)
    try:
        grid = cut_folds(index, spec.folds, lead=spec.features.lead, frequency=frequency or SESSIONS)
    except DataError as error:
        findings.append(Finding.of(error, parameter="n_folds"))
        return SeenStudy(n_rows)
    with noted(findings, parameter="holdout"):
        refuse_short_holdout(grid, spec)
    cut, n_rows = grid.folds, label_horizon + grid.study_stop
    for fold in cut:
        with noted(findings, fold=fold.number, parameter="horizon"):
            refuse_short_window(fold, spec)
    shortest = min(cut, key=lambda fold: fold.train_stop - fold.train_start)
    try:
        longest_input = clip_input(cut, spec)
    except DataError as error:
        findings.append(Finding.of(error, fold=shortest.number, parameter="input_chunk_length"))
        return SeenStudy(n_rows, cut)
    if longest_input is not None:
        findings.append(
            Finding(
                "clipped-input",
                describe_clip(spec, longest_input),
                "use more `train_rows` to try longer inputs"
                if spec.folds.train_rows is not None
                else "bring more rows, or use fewer `n_folds`, to try longer inputs",
                fold=shortest.number,
                parameter="input_chunk_length",
            )
        )
    return SeenStudy(n_rows, cut, longest_input)


def seen(folds: tuple[Fold, ...], index: pd.Index) -> tuple[SeenFold, ...]:
    """Return the folds in the data's own timestamps."""
    return tuple(
        SeenFold(
            fold.number,
            str(index[fold.train_start]),
            str(index[fold.train_stop - 1]),
            str(index[fold.validation_start]),
            str(index[fold.validation_stop - 1]),
        )
        for fold in folds
    )


def examine_folds(
    known: pd.DataFrame, folds: tuple[Fold, ...], spec: TuneSpec, fits: Sequence[slice] | None = None
) -> Iterator[Finding]:
    """Yield columns that vary, but not in a fold; `known` has the target at the timestamp when it is known.

    `fits` are the rows of each fold that fit the weights, by default those of a single asset.
    """
    fits = fits or [_fit_rows(fold, spec) for fold in folds]
    for name in known.columns:
        values = known[name].to_numpy()
        if not _varies(values):
            continue
        if name in spec.features.targets:
            yield from _still_target(values, name, known.index, folds, fits)
            continue
        for fold, fit in zip(folds, fits, strict=True):
            if fit.stop - fit.start > 1 and not _varies(values[fit]):
                yield Finding(
                    "constant-in-training",
                    f"{pasteable(name)} does not vary over the {fit.stop - fit.start} training rows of fold "
                    f"{fold.number}, but does later: its scale is unknown there",
                    f"use a later `start_date`, or fewer `n_folds`, or name {pasteable(name)} in 'exclude'",
                    column=name,
                    timestamps=(str(known.index[fit.start]),),
                    fold=fold.number,
                )
                break


def _still_target(
    values: np.ndarray, name: str, index: pd.Index, folds: tuple[Fold, ...], fits: Sequence[slice]
) -> Iterator[Finding]:
    scored = [slice(fold.validation_start, fold.validation_stop) for fold in folds]
    # One constant window is only part of a mean. If all are constant, there is nothing to forecast.
    never_moves = all(rows.stop - rows.start > 1 and not _varies(values[rows]) for rows in scored)
    for fold, fit, window in zip(folds, fits, scored, strict=True):
        for fault, rows, rule in (
            ("constant-target-in-fold", fit, "the target must vary in the training rows"),
            (
                "constant-target-in-fold" if never_moves else "constant-target-in-window",
                window,
                "no forecast can beat the last value of a constant target",
            ),
        ):
            if rows.stop - rows.start > 1 and not _varies(values[rows]):
                yield Finding(
                    fault,
                    f"{rule}, and {pasteable(name)} is constant over the {rows.stop - rows.start} rows from "
                    f"{index[rows.start]} in fold {fold.number}",
                    "choose another `target`, other dates or other `n_folds`",
                    column=name,
                    timestamps=(str(index[rows.start]),),
                    fold=fold.number,
                )


def _fit_rows(fold: Fold, spec: TuneSpec) -> slice:
    cut = cut_inner(fold.shifted(), spec.training.inner_validation, lead=spec.features.lead, horizon=spec.horizon)
    return slice(fold.train_start, max(fold.train_start + cut.fit_stop, fold.train_start))


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(np.ptp(finite) > 0)
