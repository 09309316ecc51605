"""Covariates that hold what another one holds some rows later: the one looks ahead, or the other looks back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.checks.copies import FEWEST, SAME, varies
from kallos.checks.findings import Finding, first_few
from kallos.errors import pasteable
from kallos.preprocessing import fitting_columns
from kallos.specs import TuneSpec

Array = npt.NDArray[np.float64]

_FEWEST_ROWS, _FARTHEST = 60, 60
# Pairs are looked for in some stretches of consecutive rows, and those that are found are held against all rows.
_STRETCHES, _STRETCH = 4, 512
_ALIKE = 0.95
_GLITCHES = 0.01
# What is left over at the right shift, as a share of what is left over beside it: a smooth series fits at every shift.
_SHARPNESS = 0.1
# By so much more, and by so many standard errors, must one be related to the target than another to be of its row.
_CLEARLY, _ERRORS = 0.1, 5.0
_LONGEST_PERIOD = 400


@dataclass(frozen=True)
class _Pair:
    """`ahead` of a row is `behind` of `shift` rows later."""

    ahead: str
    behind: str
    shift: int


def shifted_columns(known: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield covariates that are others of later rows; `known` has the target stamped when it is known.

    Of two such columns one looks ahead, or the other is a lag, which their values alone do not tell. The target does:
    what is related to it in its own row is of that row, so that whatever comes before it looks ahead, an error, and
    whatever comes behind it is a lag, and sound. Where the target is related to none of them, it is a warning.
    """
    for family in _families(list(_pairs(known, spec))):
        offsets = np.array(list(family.values()))
        related = np.array([_relation(known[name].to_numpy(), known, spec) for name in family])
        present = int(related.argmax())
        others = related[offsets != offsets[present]]
        clearly = max(_CLEARLY, _ERRORS / np.sqrt(len(known)))
        names = list(family)
        if related[present] - others.max() < clearly:
            ahead, behind = names[int(offsets.argmax())], names[int(offsets.argmin())]
            yield _undecided(ahead, behind, int(offsets.max() - offsets.min()), known)
            continue
        for name, offset in family.items():
            if offset > offsets[present]:
                yield _look_ahead(name, names[present], int(offset - offsets[present]), known)


def _pairs(known: pd.DataFrame, spec: TuneSpec) -> Iterator[_Pair]:
    left_out = {*spec.features.targets, *fitting_columns(known.columns, spec.features.known_ahead)}
    names = [name for name in known.columns if name not in left_out and varies(known[name].to_numpy())]
    farthest = min(max(10, 2 * (spec.features.lead + spec.horizon)), _FARTHEST, len(known) // 4)
    if len(names) < 2 or len(known) < _FEWEST_ROWS:
        return
    finite = known[names].to_numpy()
    changes = np.diff(np.where(np.isfinite(finite), finite, np.nan), axis=0)
    ranks: dict[str, Array] = {}

    def ranks_of(name: str) -> Array:
        if name not in ranks:
            own = pd.Series(changes[:, names.index(name)]).rank()
            ranks[name] = (own - own.mean()).to_numpy()
        return ranks[name]

    for ahead, behind, shift in _candidates(changes, farthest):
        one, other = names[ahead], names[behind]
        if _without_glitches(ranks_of(one)[:-shift], ranks_of(other)[shift:]) >= SAME and not _repeats_itself(
            ranks_of(one)
        ):
            yield _Pair(one, other, shift)


def _without_glitches(one: Array, other: Array) -> float:
    """Return how alike ranks are, of whatever sign, in all rows but the few in which they are least so."""
    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    other = other * np.sign(one @ other)
    apart = np.abs(one - other)
    rest = apart <= np.quantile(apart, 1 - _GLITCHES)
    size = np.sqrt((one[rest] ** 2).sum() * (other[rest] ** 2).sum())
    return float(one[rest] @ other[rest] / max(size, 1e-300)) if rest.sum() >= FEWEST else 0.0


def _candidates(changes: Array, farthest: int) -> list[tuple[int, int, int]]:
    """Return the places of columns that seem to be others of later rows, and how many rows later."""
    sample = _ranked_stretches(changes)
    n_columns = sample[0].shape[1]
    fit = np.empty((farthest + 2, n_columns, n_columns))
    for shift in range(farthest + 2):
        now = np.vstack([part[: len(part) - shift] for part in sample])
        later = np.vstack([part[shift:] for part in sample])
        sizes = np.outer((now**2).sum(axis=0), (later**2).sum(axis=0))
        fit[shift] = np.abs(now.T @ later) / np.sqrt(np.maximum(sizes, 1e-300))
    inner = fit[1:-1]
    left = 1.0 - inner
    is_sharp = left <= _SHARPNESS * (1.0 - np.maximum(np.maximum(fit[:-2], fit[2:]), fit[0]))
    shifts, ahead, behind = np.nonzero((inner >= _ALIKE) & is_sharp)
    return [(int(i), int(j), int(s) + 1) for s, i, j in zip(shifts, ahead, behind, strict=True) if i != j]


def _ranked_stretches(changes: Array) -> list[Array]:
    """Return ranks of changes, less their mean, in some stretches of rows; zero where there is none."""
    n_rows = len(changes)
    length = n_rows if n_rows <= _STRETCHES * _STRETCH else _STRETCH
    starts = [0] if length == n_rows else np.linspace(0, n_rows - length, _STRETCHES).astype(int).tolist()
    rows = pd.DataFrame(np.vstack([changes[start : start + length] for start in starts])).rank()
    ranks = (rows - rows.mean()).fillna(0.0).to_numpy()
    return [ranks[place * length : (place + 1) * length] for place in range(len(starts))]


def _repeats_itself(ranks: Array) -> bool:
    """Return whether a column comes again after some rows, as a calendar does: it is known in advance."""
    values = np.where(np.isnan(ranks), 0.0, ranks)
    n_rows = len(values)
    longest = min(_LONGEST_PERIOD, n_rows // 3)
    spectrum = np.fft.rfft(values, 2 * n_rows)
    lagged = np.fft.irfft(np.abs(spectrum) ** 2)[: longest + 1]
    squares = np.cumsum(values**2)
    lags = np.arange(2, longest + 1)
    both = np.sqrt((squares[-1] - squares[lags - 1]) * squares[n_rows - 1 - lags])
    return bool((np.abs(lagged[lags]) >= 0.99 * np.maximum(both, 1e-300)).any())


def _families(pairs: list[_Pair]) -> Iterator[dict[str, int]]:
    """Yield columns that are one series in different rows, with how many rows each is ahead of the first."""
    links: dict[str, list[tuple[str, int]]] = {}
    for pair in pairs:
        links.setdefault(pair.ahead, []).append((pair.behind, -pair.shift))
        links.setdefault(pair.behind, []).append((pair.ahead, pair.shift))
    seen: set[str] = set()
    for first in links:
        if first in seen:
            continue
        family, waiting = {first: 0}, [first]
        while waiting:
            name = waiting.pop()
            for other, offset in links[name]:
                if other not in family:
                    family[other] = family[name] + offset
                    waiting.append(other)
        seen |= set(family)
        if len(set(family.values())) > 1:
            yield family


def _relation(values: Array, known: pd.DataFrame, spec: TuneSpec) -> float:
    """Return how closely a column is related to a target in its own row, by ranks: of changes, values or sizes."""
    most = 0.0
    own = pd.Series(values)
    shapes = (own, own.diff(), (own - own.median()).abs())
    for target in spec.features.targets:
        if target in known.columns:
            other = known[target].reset_index(drop=True)
            others = (other, other.diff(), (other - other.median()).abs())
            relations = [abs(one.corr(two, method="spearman")) for one in shapes for two in others]
            most = max(most, *(each for each in relations if np.isfinite(each)), 0.0)
    return most


def _look_ahead(name: str, present: str, shift: int, known: pd.DataFrame) -> Finding:
    return Finding(
        "leaking-column",
        f"a value must be stamped when it becomes known, and {pasteable(name)} is {pasteable(present)} of {shift} rows "
        "later: a model would read the future",
        "name it in 'exclude', or shift it down in the view or query; if it is truly known by then, name it in "
        "'known_ahead'",
        column=name,
        stamps=first_few(known.index),
    )


def _undecided(ahead: str, behind: str, shift: int, known: pd.DataFrame) -> Finding:
    one, other = pasteable(ahead), pasteable(behind)
    return Finding(
        "shifted-column",
        f"{one} is {other} of {shift} rows later: it looks ahead, unless {other} is a lag of it",
        f"see which of the two is stamped when it is known: if {one} is not, name it in 'exclude'; if it is, in "
        f"'known_ahead'",
        column=ahead,
        stamps=first_few(known.index),
    )
