"""Values of another scale: a unit that changed, single values far off the rest."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.words import pasteable

Array = npt.NDArray[np.float64]
Positions = npt.NDArray[np.signedinteger[Any]]

# A level that jumps by this factor between two windows, and keeps a distance of the other factor for good.
_JUMP, _KEPT = 50.0, 20.0
_WINDOW, _FEWEST = 50, 20
_FARTHEST = 12.0
# So many robust deviations from its neighbours, and a value is of another world.
_DEVIATIONS = 1000.0
# Of the target fewer: it is scored, and one such value outweighs all others.
_OF_TARGET = 100.0
_NEIGHBOURS, _SURROUNDINGS = 5, 101
# Of a level, which moves by less than this share of its spread, so many are too many if the next row is back.
_GLITCH, _LEVEL, _CLOSE, _AWAY = 25.0, 0.03, 0.12, 0.1


def examine_scales(numbers: pd.DataFrame, targets: tuple[str, ...]) -> Iterator[Finding]:
    """Yield columns whose unit seems to change, and values that seem to be of another unit; of the target sooner."""
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
                f"{column.index[position]}, and stays: a change of its unit",
                "bring it to one unit, or begin there with `start_date`",
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
                f"{pasteable(name)} is more than {farthest:g} robust deviations off its neighbours at {len(far)} "
                f"rows, first {far[0]} ({column[far[0]]:.6g})",
                "correct them" + (": an error of prices or of their unit?" if name in targets else excluded),
                column=name,
                timestamps=first_few(far),
            )
        glitches = column.index[(deviations > _GLITCH) & (deviations <= farthest) & _returns(column.to_numpy())]
        if len(glitches):
            yield Finding(
                "glitch",
                f"{pasteable(name)} leaves its level for a single row and returns at {len(glitches)} rows, first "
                f"{glitches[0]} ({column[glitches[0]]:.6g})",
                "correct them, or name the column in 'exclude'",
                column=name,
                timestamps=first_few(glitches),
            )


def _jump(values: Array) -> tuple[int, float] | None:
    """Return where the level changes for good, and by which factor, if it does."""
    sizes = np.abs(values)
    known = sizes > 0
    # What is zero has no scale.
    logs = np.where(known, np.log(np.where(known, sizes, 1.0)), 0.0)
    if known.sum() < 2 * _FEWEST:
        return None
    # One value of another world is not to move the mean of a window.
    usual = float(np.median(logs[known]))
    logs = np.where(known, np.clip(logs, usual - _FARTHEST, usual + _FARTHEST), 0.0)
    sums, counts = np.r_[0.0, np.cumsum(logs)], np.r_[0, np.cumsum(known)]
    places = np.arange(_FEWEST, len(values) - _FEWEST + 1)
    before = _mean(sums, counts, np.maximum(places - _WINDOW, 0), places)
    behind = _mean(sums, counts, places, np.minimum(places + _WINDOW, len(values)))
    steps = np.abs(behind - before)
    if not len(steps) or np.isnan(steps).all():
        return None
    best = int(np.nanargmax(steps))
    position = places[best]
    ends = np.array([0]), np.array([position]), np.array([len(values)])
    kept = abs(float((_mean(sums, counts, ends[1], ends[2]) - _mean(sums, counts, ends[0], ends[1]))[0]))
    if steps[best] < np.log(_JUMP) or not kept >= np.log(_KEPT):
        return None
    return int(position), float(np.exp(steps[best]))


def _mean(sums: Array, counts: Positions, start: Positions, stop: Positions) -> Array:
    """Return means of the logarithms from start to stop, NaN where too few are known."""
    n = counts[stop] - counts[start]
    means: Array = np.where(n >= _FEWEST // 2, (sums[stop] - sums[start]) / np.maximum(n, 1), np.nan)
    return means


def _deviations(column: pd.Series) -> Array:
    """Return how far each value is off the median of its neighbours, in robust deviations of what is usual."""
    neighbours = column.rolling(_NEIGHBOURS, center=True, min_periods=1).median()
    distances = (column - neighbours).abs()
    moving = distances[distances > 0]
    if len(moving) < 10:
        return np.zeros(len(column))
    usual = float(moving.median())
    # A level that grows moves further each day: what is usual is so in its own surroundings.
    around = distances.rolling(_SURROUNDINGS, center=True, min_periods=1).median().clip(lower=usual)
    deviations: Array = (distances / (1.4826 * around)).to_numpy()
    return deviations


def _returns(values: Array) -> npt.NDArray[np.bool_]:
    """Return where a level is left for one row: the rows beside it are close. Of what is no level, nowhere."""
    is_glitch = np.zeros(len(values), dtype=bool)
    steps = np.abs(np.diff(values))
    if not np.median(steps) < _LEVEL * np.std(values):
        return is_glitch
    apart, away = np.abs(values[2:] - values[:-2]), np.minimum(steps[1:], steps[:-1])
    is_glitch[1:-1] = (apart < _CLOSE * away) & (away > _AWAY * np.std(values))
    return is_glitch


def _rounded(factor: float) -> str:
    return f"{float(f'{factor:.1g}'):.12g}"
