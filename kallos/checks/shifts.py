"""Covariates that hold what another one holds some rows later: the one looks ahead, or the other looks back."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.copies import FEWEST, SAME, varies
from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import fitting_columns
from kallos.specs.study import TuneSpec
from kallos.words import pasteable

Array = npt.NDArray[np.float64]
# Changes from row to row of some stretches of consecutive rows: stretches x rows x columns.
Changes = npt.NDArray[np.float32]
# A column by its place, and how many rows it is ahead of the first of its family.
Family = dict[int, int]

_FEWEST_ROWS, _FARTHEST = 60, 60
# Pairs are looked for in a few stretches of so many rows, and those that are found are held against more of them.
_FEW, _MANY = (4, 256), (8, 1024)
_ALIKE = 0.95
_GLITCHES = 0.01
# What is left over at the right shift, as a share of what is left over beside it: a smooth series fits at every shift.
_SHARPNESS = 0.1
_LONGEST_PERIOD = 400


def shifted_columns(known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield covariates that are others of later rows; `known` has the target stamped when it is known.

    Of two such columns one looks ahead, or the other is a lag, and values do not tell which: that the target follows
    the one more closely than the other is what a sound predictor with its lag looks like, too. So it is a warning. It
    is an error where the target is in it: what is the target's size, or its square, of later rows is a function of a
    target that is not known yet.
    """
    left_out = {*spec.features.targets, *fitting_columns(known.columns, spec.features.known_future)}
    names = [name for name in known.columns if name not in left_out and varies(known[name].to_numpy())]
    if not names or len(known) < _FEWEST_ROWS:
        return
    targets = [target for target in spec.features.targets if target in known.columns]
    columns = [known[name].to_numpy() for name in names]
    owners: dict[int, str] = {}
    for target in targets:
        for values in (known[target].abs(), known[target] ** 2):
            owners[len(columns)] = target
            columns.append(values.to_numpy())
    farthest = min(max(10, 2 * (spec.features.lead + spec.horizon)), _FARTHEST, len(known) // 4)
    for family in _families(columns, farthest):
        members = {names[position]: offset for position, offset in sorted(family.items()) if position < len(names)}
        anchor = next((position for position in family if position in owners), None)
        if anchor is None:
            yield from _undecided(members, known)
            continue
        for name, offset in members.items():
            if offset > family[anchor]:
                yield _looks_ahead(name, offset - family[anchor], owners[anchor], known)


def _families(columns: list[Array], farthest: int) -> list[Family]:
    """Return columns that are one series in different rows, unless it comes again and again as a calendar does.

    What is of a family already is not compared again, so that a family takes one comparison a member.
    """

    @cache
    def ranks(position: int) -> Changes:
        return _ranked(_changes([columns[position]], *_MANY))[..., 0]

    family_of: dict[int, Family] = {position: {position: 0} for position in range(len(columns))}
    for ahead, behind, shift in _candidates(_ranked(_changes(columns, *_FEW)), farthest):
        one, other = family_of[ahead], family_of[behind]
        if one is other or _without_glitches(*_shifted(ranks(ahead), ranks(behind), shift)) < SAME:
            continue
        between = one[ahead] - shift - other[behind]
        for position, offset in other.items():
            one[position] = offset + between
            family_of[position] = one
    distinct = {id(family): family for family in family_of.values() if len(set(family.values())) > 1}
    return [family for family in distinct.values() if not _repeats_itself(columns[next(iter(family))])]


def _changes(columns: list[Array], stretches: int, length: int) -> Array:
    """Return changes from row to row, all where there are few rows, else those of stretches of them."""
    n_rows = len(columns[0])
    if n_rows <= stretches * length:
        stretches, length = 1, n_rows
    starts = np.linspace(0, n_rows - length, stretches).astype(int)
    values = np.stack([np.stack([column[start : start + length] for start in starts]) for column in columns], axis=-1)
    return np.diff(np.where(np.isfinite(values), values, np.nan), axis=1)


def _ranked(changes: Array) -> Changes:
    """Return ranks, less their mean, of each column's changes in all stretches together."""
    ranks = pd.DataFrame(changes.reshape(-1, changes.shape[-1])).rank()
    centred: Changes = (ranks - ranks.mean()).to_numpy(np.float32).reshape(changes.shape)
    return centred


def _shifted(one: Changes, other: Changes, shift: int) -> tuple[Changes, Changes]:
    """Return the one, and the other of so many rows later, where there are both."""
    return one[:, : one.shape[1] - shift], other[:, shift:]


def _candidates(ranks: Changes, farthest: int) -> Iterator[tuple[int, int, int]]:
    """Yield the places of columns that seem to be others of as many rows later, or of the same row, nearest first."""
    sample = np.nan_to_num(ranks)

    def fit(shift: int) -> Changes:
        now, later = (part.reshape(-1, sample.shape[-1]) for part in _shifted(sample, sample, shift))
        sizes = np.outer((now**2).sum(axis=0), (later**2).sum(axis=0))
        alike: Changes = np.abs(now.T @ later) / np.sqrt(np.maximum(sizes, 1e-30))
        np.fill_diagonal(alike, 0.0)
        return alike

    own, after = fit(0), fit(1)
    # As a column is another one's of a row later, so is that one its of a row before.
    before, here = after.T, own
    for shift in range(farthest + 1):
        neighbour = np.maximum(before, after) if shift == 0 else np.maximum(np.maximum(before, after), own)
        is_sharp = 1.0 - here <= _SHARPNESS * (1.0 - neighbour)
        ahead, behind = np.nonzero((here >= _ALIKE) & is_sharp)
        yield from ((int(i), int(j), shift) for i, j in zip(ahead, behind, strict=True))
        before, here, after = here, after, fit(shift + 2)


def _without_glitches(one: Changes, other: Changes) -> float:
    """Return how alike ranks are, of whatever sign, in all rows but the few in which they are least so."""
    both = np.isfinite(one) & np.isfinite(other)
    now, later = one[both].astype(np.float64), other[both].astype(np.float64)
    if not len(now):
        return 0.0
    later = later * np.sign(now @ later)
    apart = np.abs(now - later)
    rest = apart <= np.quantile(apart, 1 - _GLITCHES)
    size = np.sqrt((now[rest] ** 2).sum() * (later[rest] ** 2).sum())
    return float(now[rest] @ later[rest] / max(size, 1e-300)) if rest.sum() >= FEWEST else 0.0


def _repeats_itself(column: Array) -> bool:
    """Return whether a column comes again after some rows, as a calendar does: it is known in advance."""
    first = int(np.isfinite(column).argmax())
    stretch = column[first : first + _MANY[0] * _MANY[1]]
    values = np.nan_to_num(_ranked(_changes([stretch], *_MANY))).ravel().astype(np.float64)
    n_rows = len(values)
    longest = min(_LONGEST_PERIOD, n_rows // 3)
    spectrum = np.fft.rfft(values, 2 * n_rows)
    lagged = np.fft.irfft(np.abs(spectrum) ** 2)[: longest + 1]
    squares = np.cumsum(values**2)
    lags = np.arange(2, longest + 1)
    both = np.sqrt((squares[-1] - squares[lags - 1]) * squares[n_rows - 1 - lags])
    return bool((np.abs(lagged[lags]) >= 0.99 * np.maximum(both, 1e-300)).any())


def _looks_ahead(name: str, shift: int, target: str, known: pd.DataFrame) -> Finding:
    return Finding(
        "leaking-column",
        f"a value must be stamped when it becomes known, and {pasteable(name)} is the size of the target "
        f"{pasteable(target)} of {shift} rows later: a model would read how far it moves",
        "name it in 'exclude', or shift it down in the view or query; if it is truly known by then, name it in "
        "'known_future'",
        column=name,
        timestamps=first_few(known.index),
    )


def _undecided(members: dict[str, int], known: pd.DataFrame) -> Iterator[Finding]:
    """Yield the warning of a family: of the column that is farthest ahead, and of the one that is farthest behind.

    Whoever leaves the first one out, or says that it is known, is told of the next.
    """
    ahead, behind = max(members, key=members.__getitem__), min(members, key=members.__getitem__)
    one, other, shift = pasteable(ahead), pasteable(behind), members[ahead] - members[behind]
    # A market that opens where it closed: by their names the close is the later of the two in a row.
    if shift == 1 and "open" in behind.lower() and behind.lower().replace("open", "close") == ahead.lower():
        return
    more = f" ({len(members) - 2} more columns are of the same series)" if len(members) > 2 else ""
    yield Finding(
        "shifted-column",
        f"{one} is {other} of {shift} rows later{more}: it looks ahead, unless {other} is a lag of it, which values do "
        f"not tell",
        f"see how both are made: if {one} is not known yet when it is stamped, name it in 'exclude'; if {other} is a "
        f"lag, leave them",
        column=ahead,
        timestamps=first_few(known.index),
    )
