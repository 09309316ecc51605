"""Splits for which prices are not adjusted: all prices jump by a simple ratio, or volumes jump the other way."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.copies import varies
from kallos.checks.findings import Finding
from kallos.folds.columns import fitting_columns
from kallos.specs.data import FeatureSpec
from kallos.words import day, pasteable, shorten

Array = npt.NDArray[np.float64]

# New shares for old ones; a reverse split is the other way round.
_RATIOS = {2.0: "2:1", 1.5: "3:2", 3.0: "3:1", 4.0: "4:1", 5.0: "5:1", 7.0: "7:1", 10.0: "10:1", 20.0: "20:1"}
_PRICES = frozenset({"open", "high", "low", "close", "price"})
# A jump is at least 6 usual changes of the 50 rows around it long, and within 4 (or 2 %) of a ratio.
_UNUSUAL, _OFF, _LEAST_OFF, _AROUND = 6.0, 4.0, 0.02, 50
_FEWEST_ROWS, _MOST_JUMPS = 30, 50
# Volumes of this many rows on both sides, and how far (in logarithms) they and the day's own may be off the ratio.
_VOLUMES, _LEAST_SHARE, _VOLUME_OFF, _DAY_OFF = 20, 0.4, 0.6, 0.8
# From this rank correlation of their changes on, an open moves with a close.
_MOVES_WITH = 0.3
# If there is only one price: how near a ratio the jump must be (in usual changes), and how many times all others.
_OFF_ALONE, _TIMES_ALONE = 2.0, 3.0


@dataclass(frozen=True)
class _Jump:
    """A row at which a column changes by about a ratio; `sign` is -1 if it falls.

    `off` is the distance to the ratio, and `usual` the usual change around the row, both in logarithms.
    """

    row: int
    column: str
    ratio: float
    sign: int
    off: float
    usual: float


def unadjusted_splits(numbers: pd.DataFrame, features: FeatureSpec) -> Iterator[Finding]:
    """Yield days on which prices, or their log returns, jump as in a split for which they are not adjusted.

    A fall within a day moves the close in that row and the open in the next one, but a split moves both at once. If
    there is no open, volumes must change the other way and stay there. Without volumes either, no other jump may be as
    large.
    """
    volumes = [numbers[name].to_numpy() for name in fitting_columns(numbers.columns, features.volume)]
    returns = set(fitting_columns(numbers.columns, features.log_return))
    prices = [name for name in numbers.columns if name in features.targets or _PRICES & _words(name)]
    changes = {name: _changes(numbers[name], is_return=name in returns) for name in prices}
    closes = {name for name in prices if "close" in _words(name)}
    opens = {name for name in prices if "open" in _words(name) and _is_price(changes[name], changes, closes)}
    by_row: dict[int, list[_Jump]] = {}
    for name in prices:
        for jump in _jumps(name, changes[name]):
            by_row.setdefault(jump.row, []).append(jump)
    for row, jumps in sorted(by_row.items()):
        jump = min(jumps, key=lambda each: each.off)
        alike = [each for each in jumps if each.sign == jump.sign]
        if opens:
            names = {each.column for each in alike}
            is_split = bool(names & opens and names & closes)
        elif volumes:
            is_split = any(_turns(volume, jump) for volume in volumes)
        else:
            is_split = any(_stands_alone(each, changes[each.column]) for each in alike)
        if is_split:
            yield _found(jump, alike, numbers.index[row : row + 2])


def _words(name: str) -> set[str]:
    """Return the words of a name such as `log_return_close`, `Adj Close` or `closePrice`."""
    return {word.lower() for word in re.split(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])", name) if word}


def _changes(column: pd.Series, *, is_return: bool) -> Array:
    """Return the changes of a price in logarithms, or a log return as it is; all NaN for values that are not prices."""
    values: Array = column.to_numpy()
    known = values[np.isfinite(values)]
    if is_return:
        return values
    if not len(known) or known.min() <= 0:
        return np.full(len(values), np.nan)
    with np.errstate(invalid="ignore"):
        changes: Array = np.diff(np.log(values), prepend=np.nan)
    return changes


def _is_price(opened: Array, changes: Mapping[str, Array], closes: set[str]) -> bool:
    """Return whether an open moves with a close of its own or the previous row, unlike an open interest."""
    if not varies(opened):
        return False
    own = pd.Series(opened)
    others = (pd.Series(changes[name]) for name in sorted(closes) if varies(changes[name]))
    return any(own.corr(each, method="spearman") >= _MOVES_WITH for other in others for each in (other.shift(1), other))


def _jumps(name: str, changes: Array) -> Iterator[_Jump]:
    sizes = np.where(np.isfinite(changes), np.abs(changes), 0.0)
    if np.isfinite(changes).sum() < _FEWEST_ROWS:
        return
    largest = np.argsort(-sizes, kind="stable")[:_MOST_JUMPS]
    for row in largest[sizes[largest] > np.log(min(_RATIOS)) / 2].tolist():
        around = changes[max(row - _AROUND, 0) : row + _AROUND + 1]
        usual = 1.4826 * float(np.nanmedian(np.abs(around)))
        ratio = min(_RATIOS, key=lambda each: abs(sizes[row] - np.log(each)))
        off = abs(sizes[row] - float(np.log(ratio)))
        if sizes[row] > _UNUSUAL * usual and off <= max(_OFF * usual, _LEAST_OFF):
            yield _Jump(row, name, ratio, int(np.sign(changes[row])), off, usual)


def _stands_alone(jump: _Jump, changes: Array) -> bool:
    """Return whether a jump is close to its ratio, and no other move of the column is nearly as large."""
    others = np.delete(np.where(np.isfinite(changes), np.abs(changes), 0.0), jump.row)
    is_near = jump.off <= max(_OFF_ALONE * jump.usual, _LEAST_OFF)
    return is_near and jump.usual > 0 and bool(_TIMES_ALONE * others.max() < np.log(jump.ratio))


def _turns(volume: Array, jump: _Jump) -> bool:
    """Return whether volumes change by the ratio in the other direction, on that day and permanently."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(volume)
    logs[~np.isfinite(logs)] = np.nan
    before, after = logs[max(jump.row - _VOLUMES, 0) : jump.row], logs[jump.row : jump.row + _VOLUMES]
    if np.isfinite(before).sum() < _VOLUMES // 2 or np.isfinite(after).sum() < _VOLUMES // 4:
        return False
    wanted = float(np.log(jump.ratio))
    stays = -jump.sign * float(np.nanmedian(after) - np.nanmedian(before))
    of_day = -jump.sign * float(after[0] - np.nanmedian(before))
    return _LEAST_SHARE * wanted <= stays <= wanted + _VOLUME_OFF and abs(of_day - wanted) <= _DAY_OFF


def _found(jump: _Jump, alike: list[_Jump], days: pd.Index) -> Finding:
    new, old = _RATIOS[jump.ratio].split(":")
    if jump.sign > 0:
        new, old = old, new
    if new == "1":
        adjust = f"multiply earlier prices by {old} and divide earlier volumes"
    else:
        adjust = f"divide earlier prices by {new if old == '1' else f'{new}/{old}'} and multiply earlier volumes"
    columns = shorten([pasteable(each.column) for each in alike], 4)
    return Finding(
        "unadjusted-split",
        f"prices must be adjusted for splits, and at {days[0]} they jump as in a split of {new}:{old} ({columns})",
        f"{adjust}, or start after it with `start_date` {day(days[-1])}; ignore this if they did move that far",
        column=alike[0].column,
        timestamps=(str(days[0]),),
    )
