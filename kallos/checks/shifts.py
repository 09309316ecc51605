"""Covariates that equal another one some rows later: the one looks ahead, or the other is a lag."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.copies import FEWEST, SAME, varies
from kallos.checks.findings import Finding, first_few
from kallos.folds.columns import fitting_columns
from kallos.specs.study import TuneSpec
from kallos.words import counted, pasteable

Array = npt.NDArray[np.float64]
# Changes from row to row in some stretches of consecutive rows: stretches x rows x columns.
Changes = npt.NDArray[np.float32]
# The position of each column, and how many rows it is ahead of the first of its family.
Family = dict[int, int]

_FEWEST_ROWS, _FARTHEST = 60, 60
# Pairs are sought in a few stretches of rows (number, length), and confirmed in more.
_FEW, _MANY = (4, 256), (8, 1024)
_ALIKE = 0.95
_GLITCHES = 0.01
# The residual at the right shift as a share of that at the next shifts: a smooth series fits at every shift.
_SHARPNESS = 0.1
_LONGEST_PERIOD = 400


def shifted_columns(known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield covariates that equal others in later rows; `known` has the target at the timestamp when it is known.

    The values cannot tell whether one column looks ahead or the other is a lag, because a sound predictor with its lag
    looks the same. This is a warning. It is an error if a column equals the size or square of the target in later rows.
    """
    left_out = {*spec.features.targets, *fitting_columns(known.columns, spec.features.known_now)}
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
    """Return the columns that are one shifted series, unless it repeats as a calendar does.

    Columns of the same family are not compared again, so a family takes one comparison for each member.
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
    """Return the changes from row to row, in stretches if there are many rows."""
    n_rows = len(columns[0])
    if n_rows <= stretches * length:
        stretches, length = 1, n_rows
    starts = np.linspace(0, n_rows - length, stretches).astype(int)
    values = np.stack([np.stack([column[start : start + length] for start in starts]) for column in columns], axis=-1)
    return np.diff(np.where(np.isfinite(values), values, np.nan), axis=1)


def _ranked(changes: Array) -> Changes:
    """Return the centred ranks of each column's changes over all stretches."""
    ranks = pd.DataFrame(changes.reshape(-1, changes.shape[-1])).rank()
    centred: Changes = (ranks - ranks.mean()).to_numpy(np.float32).reshape(changes.shape)
    return centred


def _shifted(one: Changes, other: Changes, shift: int) -> tuple[Changes, Changes]:
    """Return the rows of one and those of the other `shift` rows later that overlap."""
    return one[:, : one.shape[1] - shift], other[:, shift:]


def _candidates(ranks: Changes, farthest: int) -> Iterator[tuple[int, int, int]]:
    """Yield the positions of two columns and the shift at which they seem equal, smallest shifts first."""
    sample = np.nan_to_num(ranks)

    def fit(shift: int) -> Changes:
        now, later = (part.reshape(-1, sample.shape[-1]) for part in _shifted(sample, sample, shift))
        sizes = np.outer((now**2).sum(axis=0), (later**2).sum(axis=0))
        alike: Changes = np.abs(now.T @ later) / np.sqrt(np.maximum(sizes, 1e-30))
        np.fill_diagonal(alike, 0.0)
        return alike

    own, after = fit(0), fit(1)
    # Fits at a shift of -1 are those at +1 with the two columns swapped.
    before, here = after.T, own
    for shift in range(farthest + 1):
        neighbour = np.maximum(before, after) if shift == 0 else np.maximum(np.maximum(before, after), own)
        is_sharp = 1.0 - here <= _SHARPNESS * (1.0 - neighbour)
        ahead, behind = np.nonzero((here >= _ALIKE) & is_sharp)
        yield from ((int(i), int(j), shift) for i, j in zip(ahead, behind, strict=True))
        before, here, after = here, after, fit(shift + 2)


def _without_glitches(one: Changes, other: Changes) -> float:
    """Return the correlation of ranks, whatever its sign, without the few rows that differ most."""
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
    """Return whether a column repeats itself as a calendar does, and so is known in advance."""
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
        f"a value must not appear before it is known, and {pasteable(name)} equals the size of the target "
        f"{pasteable(target)} {counted(shift, 'row')} later: a model would read how far the target moves",
        "name it in 'exclude', or shift it down in the view or query; if it really is known by then, name it in "
        "'known_now'",
        column=name,
        timestamps=first_few(known.index),
    )


def _undecided(members: dict[str, int], known: pd.DataFrame) -> Iterator[Finding]:
    """Yield the warning of a family, which names the columns that are farthest ahead and farthest behind.

    Once the first is excluded or declared known, the next check names the next.
    """
    ahead, behind = max(members, key=members.__getitem__), min(members, key=members.__getitem__)
    one, other, shift = pasteable(ahead), pasteable(behind), members[ahead] - members[behind]
    # A market that opens where it closed: their names say that the close is later than the open.
    if shift == 1 and "open" in behind.lower() and behind.lower().replace("open", "close") == ahead.lower():
        return
    more = f" ({len(members) - 2} more columns are the same series)" if len(members) > 2 else ""
    yield Finding(
        "shifted-column",
        f"{one} equals {other} {counted(shift, 'row')} later{more}: it looks ahead unless {other} is its lag, "
        "which values cannot tell",
        f"check how both are computed: if {one} is not known at its timestamp, name it in 'exclude'; if {other} is a "
        "lag, keep both",
        column=ahead,
        timestamps=first_few(known.index),
    )
