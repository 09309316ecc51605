"""Values of another scale: a unit that changed, single values far off the rest."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.findings import Finding, first_few

Array = npt.NDArray[np.float64]

# A level that jumps by this factor between two windows, and keeps a distance of the other factor for good.
_JUMP, _KEPT = 50.0, 20.0
_WINDOW, _FEWEST = 50, 20
# So many robust deviations from its neighbours, and a value is of another world.
_DEVIATIONS = 1000.0
_NEIGHBOURS, _SURROUNDINGS = 5, 101


def examine_scales(numbers: pd.DataFrame) -> Iterator[Finding]:
    """Yield columns whose unit seems to change, and values that seem to be of another unit."""
    finite = numbers.where(np.isfinite(numbers))
    for name in finite.columns:
        column = finite[name].dropna()
        if column.nunique() < 10:
            continue
        jump = _jump(column.to_numpy())
        if jump is not None:
            place, factor = jump
            yield Finding(
                "scale-jump",
                f"the level of {name} changes by a factor of about {_rounded(factor)} at {column.index[place]}, and "
                f"stays: a change of its unit",
                "bring it to one unit, or begin there with --start-date",
                column=name,
                stamps=first_few(column.index[place:]),
            )
            continue
        far = _far_off(column)
        if len(far):
            yield Finding(
                "outlier",
                f"{name} is thousands of robust deviations off its neighbours at {len(far)} rows, first {far[0]} "
                f"({column[far[0]]:.6g})",
                "correct them, or name the column in 'exclude'",
                column=name,
                stamps=first_few(far),
            )


def _jump(values: Array) -> tuple[int, float] | None:
    """Return where the level changes for good, and by which factor, if it does."""
    sizes = np.abs(values)
    known = sizes > 0
    # What is zero has no scale.
    logs = np.where(known, np.log(np.where(known, sizes, 1.0)), 0.0)
    if known.sum() < 2 * _FEWEST:
        return None
    sums, counts = np.r_[0.0, np.cumsum(logs)], np.r_[0, np.cumsum(known)]
    places = np.arange(_FEWEST, len(values) - _FEWEST + 1)
    before = _mean(sums, counts, np.maximum(places - _WINDOW, 0), places)
    behind = _mean(sums, counts, places, np.minimum(places + _WINDOW, len(values)))
    steps = np.abs(behind - before)
    if not len(steps) or np.isnan(steps).all():
        return None
    best = int(np.nanargmax(steps))
    place = places[best]
    ends = np.array([0]), np.array([place]), np.array([len(values)])
    kept = abs(float((_mean(sums, counts, ends[1], ends[2]) - _mean(sums, counts, ends[0], ends[1]))[0]))
    if steps[best] < np.log(_JUMP) or not kept >= np.log(_KEPT):
        return None
    return int(place), float(np.exp(steps[best]))


def _mean(sums: Array, counts: npt.NDArray[np.int64], start: Array, stop: Array) -> Array:
    """Return means of the logarithms from start to stop, NaN where too few are known."""
    n = counts[stop] - counts[start]
    means: Array = np.where(n >= _FEWEST // 2, (sums[stop] - sums[start]) / np.maximum(n, 1), np.nan)
    return means


def _far_off(column: pd.Series) -> pd.Index:
    """Return the stamps of values far off the median of their neighbours, by the usual distance from it."""
    neighbours = column.rolling(_NEIGHBOURS, center=True, min_periods=1).median()
    distances = (column - neighbours).abs()
    moving = distances[distances > 0]
    if len(moving) < 10:
        return column.index[:0]
    usual = float(moving.median())
    # A level that grows moves further each day: what is usual is so in its own surroundings.
    around = distances.rolling(_SURROUNDINGS, center=True, min_periods=1).median().clip(lower=usual)
    return column.index[np.asarray(distances > _DEVIATIONS * 1.4826 * around)]


def _rounded(factor: float) -> str:
    return f"{float(f'{factor:.1g}'):.12g}"
