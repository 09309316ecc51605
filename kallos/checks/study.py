"""Faults of the folds: too few rows for them, or nothing in them to learn or to forecast."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, SeenFold, said_by
from kallos.errors import DataError
from kallos.folds import Fold, cut_folds, cut_inner
from kallos.frequency import SESSIONS, default_step
from kallos.specs import TuneSpec
from kallos.study_cut import clip_input, describe_clip, refuse_short_window


def cut_study(
    index: pd.Index, spec: TuneSpec, frequency: str | None, findings: list[Finding]
) -> tuple[tuple[Fold, ...], int | None]:
    """Return the folds, and the input length that the search space is clipped to, as far as the rows allow.

    Rows that keep to no frequency are cut as sessions, which may have gaps; rows without stamps are not cut.
    """
    folds = spec.folds
    if frequency is None and not isinstance(index, pd.DatetimeIndex):
        return (), None
    if frequency is None:
        folds = folds.model_copy(update={"step": folds.step or _step_of_irregular(index)})
        frequency = SESSIONS
    try:
        cut = cut_folds(index, folds, lead=spec.features.lead, frequency=frequency).folds
    except DataError as error:
        findings.append(said_by(error, "too-few-rows", parameter="n_folds"))
        return (), None
    for fold in cut:
        try:
            refuse_short_window(fold, spec)
        except DataError as error:
            findings.append(said_by(error, "short-window", fold=fold.number, parameter="horizon"))
    shortest = min(cut, key=lambda fold: fold.train_stop - fold.train_start)
    try:
        longest_input = clip_input(cut, spec)
    except DataError as error:
        findings.append(said_by(error, "short-training", fold=shortest.number, parameter="input_chunk_length"))
        return cut, None
    if longest_input is not None:
        findings.append(
            Finding(
                "clipped-input",
                describe_clip(spec, longest_input),
                "take more `train_rows` to try longer ones"
                if spec.folds.train_rows is not None
                else "bring more rows, or take fewer `n_folds`, to try longer ones",
                fold=shortest.number,
                parameter="input_chunk_length",
            )
        )
    return cut, longest_input


def seen(folds: tuple[Fold, ...], index: pd.Index) -> tuple[SeenFold, ...]:
    """Return the folds in the data's own stamps."""
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
    """Yield columns that do not vary in a fold, though they vary elsewhere; the target of `known` is so stamped.

    `fits` are the rows of each fold that fit the weights, by default those of an asset that is alone.
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
                    f"{name} does not vary over the {fit.stop - fit.start} rows that train in fold {fold.number}, and "
                    f"does later: its scale is unknown there",
                    f"begin later with `start_date`, take fewer `n_folds`, or name {name} in 'exclude'",
                    column=name,
                    stamps=(str(known.index[fit.start]),),
                    fold=fold.number,
                )
                break


def _still_target(
    values: np.ndarray, name: str, index: pd.Index, folds: tuple[Fold, ...], fits: Sequence[slice]
) -> Iterator[Finding]:
    scored = [slice(fold.validation_start, fold.validation_stop) for fold in folds]
    # One such window is part of a mean; where all are so, there is nothing to forecast.
    never_moves = all(rows.stop - rows.start > 1 and not _varies(values[rows]) for rows in scored)
    for fold, fit, window in zip(folds, fits, scored, strict=True):
        for fault, rows, rule in (
            ("constant-target-in-fold", fit, "the target must vary where it trains"),
            (
                "constant-target-in-fold" if never_moves else "constant-target-in-window",
                window,
                "where a target stands still, repeating its last value makes no error to beat",
            ),
        ):
            if rows.stop - rows.start > 1 and not _varies(values[rows]):
                yield Finding(
                    fault,
                    f"{rule}, and {name} is constant over the {rows.stop - rows.start} rows from {index[rows.start]} "
                    f"in fold {fold.number}",
                    "name another as `target`, or choose other dates or `n_folds`",
                    column=name,
                    stamps=(str(index[rows.start]),),
                    fold=fold.number,
                )


def _fit_rows(fold: Fold, spec: TuneSpec) -> slice:
    cut = cut_inner(fold.shifted(), spec.training.inner_validation, lead=spec.features.lead, horizon=spec.horizon)
    return slice(fold.train_start, max(fold.train_start + cut.fit_stop, fold.train_start))


def _step_of_irregular(index: pd.Index) -> str | int:
    distances = np.diff(index.asi8) if isinstance(index, pd.DatetimeIndex) else np.array([])
    usual = pd.Timedelta(int(np.median(distances))) if len(distances) else pd.Timedelta(days=1)
    return default_step(f"{max(int(usual.total_seconds()), 1)}s")


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(np.ptp(finite) > 0)
