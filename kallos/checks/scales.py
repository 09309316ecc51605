"""Faults of scale: a unit that changes, and single values far from the rest."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.words import counted, pasteable

Array = npt.NDArray[np.float64]
Positions = npt.NDArray[np.signedinteger[Any]]

# A level jumps by this factor between two windows, and stays apart by the other.
_JUMP, _KEPT = 50.0, 20.0
_WINDOW, _FEWEST = 50, 20
_FARTHEST = 12.0
# More robust deviations from its neighbours make a value an outlier. The limit of the target is lower, because one
# outlier would outweigh all other scored values.
_DEVIATIONS, _OF_TARGET = 1000.0, 100.0
_NEIGHBOURS, _SURROUNDINGS = 5, 101
# A glitch of a level (which usually moves by less than 0.03 of its spread): its deviations, and how it returns.
_GLITCH, _LEVEL, _CLOSE, _AWAY = 25.0, 0.03, 0.12, 0.1


def examine_scales(numbers: pd.DataFrame, targets: tuple[str, ...]) -> Iterator[Finding]:
    """Yield columns whose unit seems to change, and values that are far from their neighbours."""
    finite, excluded = numbers.where(np.isfinite(numbers)), ", or name the column in 'exclude'"
    for name in finite.columns:
        column = finite[name].dropna()
        if column.nunique() < 10:
            continue
        jump = _jump(column.to_numpy())
        if jump is not None:
            position, factor = jump
            yield Finding(
                "scale-jump",
                f"the level of {pasteable(name)} changes by a factor of about {_rounded(factor)} at "
                f"{column.index[position]} and stays there: its unit seems to change",
                "convert it to one unit, or start there with `start_date`",
                column=name,
                timestamps=first_few(column.index[position:]),
            )
            continue
        deviations = _deviations(column)
        farthest = _OF_TARGET if name in targets else _DEVIATIONS
        far = column.index[deviations > farthest]
        if len(far):
            yield Finding(
                "outlier",
                f"{pasteable(name)} is more than {farthest:g} robust deviations from its neighbours in "
                f"{counted(len(far), 'row')}, first {far[0]} ({column[far[0]]:.6g})",
                "correct them" + (": are prices or their unit wrong?" if name in targets else excluded),
                column=name,
                timestamps=first_few(far),
            )
        glitches = column.index[(deviations > _GLITCH) & (deviations <= farthest) & _returns(column.to_numpy())]
        if len(glitches):
            yield Finding(
                "glitch",
                f"{pasteable(name)} leaves its level for a single row and returns, {counted(len(glitches), 'time')}, "
                f"first at {glitches[0]} ({column[glitches[0]]:.6g})",
                "correct them" + excluded,
                column=name,
                timestamps=first_few(glitches),
            )


def _jump(values: Array) -> tuple[int, float] | None:
    """Return where the level changes permanently, and by which factor, if it does."""
    sizes = np.abs(values)
    known = sizes > 0
    # Zeros have no scale.
    logs = np.where(known, np.log(np.where(known, sizes, 1.0)), 0.0)
    if known.sum() < 2 * _FEWEST:
        return None
    # A single outlier must not move the mean of a window.
    usual = float(np.median(logs[known]))
    logs = np.where(known, np.clip(logs, usual - _FARTHEST, usual + _FARTHEST), 0.0)
    sums, counts = np.r_[0.0, np.cumsum(logs)], np.r_[0, np.cumsum(known)]
    places = np.arange(_FEWEST, len(values) - _FEWEST + 1)
    before = _mean(sums, counts, np.maximum(places - _WINDOW, 0), places)
    after = _mean(sums, counts, places, np.minimum(places + _WINDOW, len(values)))
    steps = np.abs(after - before)
    if not len(steps) or np.isnan(steps).all():
        return None
    best = int(np.nanargmax(steps))
    position = int(places[best])
    kept = abs(float(_mean(sums, counts, position, len(values)) - _mean(sums, counts, 0, position)))
    if steps[best] < np.log(_JUMP) or not kept >= np.log(_KEPT):
        return None
    return position, float(np.exp(steps[best]))


def _mean(sums: Array, counts: Positions, start: Positions | int, stop: Positions | int) -> Array:
    """Return the means of logarithms from start to stop, NaN if too few are known."""
    n = counts[stop] - counts[start]
    means: Array = np.where(n >= _FEWEST // 2, (sums[stop] - sums[start]) / np.maximum(n, 1), np.nan)
    return means


def _deviations(column: pd.Series) -> Array:
    """Return the distance of each value from the median of its neighbours, in robust deviations."""
    neighbours = column.rolling(_NEIGHBOURS, center=True, min_periods=1).median()
    distances = (column - neighbours).abs()
    moving = distances[distances > 0]
    if len(moving) < 10:
        return np.zeros(len(column))
    usual = float(moving.median())
    # A growing level moves further each day, so compare with the surroundings of each row.
    around = distances.rolling(_SURROUNDINGS, center=True, min_periods=1).median().clip(lower=usual)
    deviations: Array = (distances / (1.4826 * around)).to_numpy()
    return deviations


def _returns(values: Array) -> npt.NDArray[np.bool_]:
    """Return where a level jumps for one row and returns; nowhere if the column has no stable level."""
    is_glitch = np.zeros(len(values), dtype=bool)
    steps = np.abs(np.diff(values))
    if not np.median(steps) < _LEVEL * np.std(values):
        return is_glitch
    apart, away = np.abs(values[2:] - values[:-2]), np.minimum(steps[1:], steps[:-1])
    is_glitch[1:-1] = (apart < _CLOSE * away) & (away > _AWAY * np.std(values))
    return is_glitch


def _rounded(factor: float) -> str:
    return f"{float(f'{factor:.1g}'):.12g}"
