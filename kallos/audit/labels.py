"""How far does the target look ahead of its stamp, and is that what `label_horizon` says?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.verdicts import Verdict
from kallos.planning import stamp
from kallos.report import counted
from kallos.specs import FeatureSpec

Array = npt.NDArray[np.float64]

LONGEST_LABEL = 60
_SAMPLE = 64
_TOLERANCE = 1e-6
_FEWEST_ROWS = 30
# Values at a seam of two sources may not fit; a wrong formula fits nowhere.
_SHARE_THAT_FITS = 0.99


@dataclass(frozen=True)
class LabelMatch:
    """A formula that gives the target: what of which column, and how many rows it looks ahead (0: none)."""

    column: str
    formula: str
    ahead: int


def audit_label(frame: pd.DataFrame, features: FeatureSpec) -> list[Verdict]:
    """Return verdicts on the target: whether it looks further ahead of its stamp than `label_horizon`.

    `frame` holds the rows as loaded, before the target is stamped. What is asked: for how many rows at the end it is
    not known yet, and whether it equals a change of some column, forward or backward, over up to `LONGEST_LABEL` rows.
    """
    name, allowed = features.target, features.label_horizon
    open_rows = unrealised_rows(frame, name)
    match = match_label(frame, name)
    verdicts = []
    if open_rows > allowed:
        certain = open_rows <= LONGEST_LABEL
        verdicts.append(
            Verdict(
                stage="label",
                column=name,
                verdict="leak" if certain else "suspicious",
                evidence=f"{counted(open_rows, 'row')} at the end, from {stamp(frame.index[-open_rows])} on, without a "
                f"target: it is known {counted(open_rows, 'row')} later, and label_horizon is {allowed}"
                + ("" if certain else ", or it is not filled any more"),
                remedy=f"give --label-horizon {open_rows}, or fill the target up to the last row",
            )
        )
    if match is not None:
        verdicts.append(_of_match(name, match, allowed))
    elif not verdicts:
        verdicts.append(_without_match(name, open_rows, allowed))
    return verdicts


def unrealised_rows(frame: pd.DataFrame, target: str) -> int:
    """Return how many rows at the end have no target."""
    missing = frame[target].isna().to_numpy()[::-1]
    return len(missing) if missing.all() else int(missing.argmin())


def match_label(frame: pd.DataFrame, target: str) -> LabelMatch | None:
    """Return the formula that gives the target and looks ahead the least, or None.

    Tried are, for each other column of numbers: its relative change, log change and difference, and the sum and the
    compounded product of its values, over 1 to `LONGEST_LABEL` rows, up to the target's row and from it on; a constant
    factor such as 100 is allowed.
    """
    wanted = frame[target].to_numpy(np.float64)
    known = np.flatnonzero(np.isfinite(wanted))
    if len(known) < _FEWEST_ROWS or not np.ptp(wanted[known]) > 0:
        return None
    numbers = [
        (column, frame[column].to_numpy(np.float64))
        for column in frame.columns
        if column != target and frame[column].dtype.kind in "iuf"
    ]
    longest = min(LONGEST_LABEL, len(wanted) // 3)
    for is_forward in (False, True):
        for length in range(1, longest + 1):
            for column, values in numbers:
                for formula, change in _changes(values, length, is_forward=is_forward):
                    if _fits(wanted, change):
                        said = f"{formula} of {column} over {counted(length, 'row')}"
                        return LabelMatch(column, said, length if is_forward else 0)
    return None


def _changes(values: Array, length: int, *, is_forward: bool) -> Iterator[tuple[str, Array]]:
    """Yield the changes of a column over so many rows, stamped at their first row if forward, else at their last."""

    def stamped(changes: Array) -> Array:
        gap = np.full(length, np.nan)
        return np.r_[changes, gap] if is_forward else np.r_[gap, changes]

    before, after = values[:-length], values[length:]
    with np.errstate(all="ignore"):
        if np.nanmin(values) > 0:
            yield "the log change", stamped(np.log(after / before))
            yield "the relative change", stamped(after / before - 1)
        yield "the difference", stamped(after - before)
        # One row later alone would take any column that repeats the target a row late for a label.
        if length > 1 or not is_forward:
            sums = np.cumsum(values)
            yield "the sum", stamped(sums[length:] - sums[:-length])
            if np.nanmin(values) > -1:
                logs = np.cumsum(np.log1p(values))
                yield "the compounded sum", stamped(np.expm1(logs[length:] - logs[:-length]))


def _fits(wanted: Array, change: Array) -> bool:
    both = np.flatnonzero(np.isfinite(wanted) & np.isfinite(change))
    if len(both) < _FEWEST_ROWS:
        return False
    sample = both[np.linspace(0, len(both) - 1, min(_SAMPLE, len(both))).astype(int)]
    return _equal(wanted[sample], change[sample]) and _equal(wanted[both], change[both])


def _equal(wanted: Array, change: Array) -> bool:
    power = change @ change
    if not np.isfinite(power) or power == 0 or not np.ptp(change) > 0:
        return False
    # The median, that a few rows which do not fit may not move the factor.
    apart = np.abs(change) > 0.1 * np.abs(change).max()
    factor = float(np.median(wanted[apart] / change[apart]))
    near = np.abs(wanted - factor * change) <= _TOLERANCE * np.abs(wanted).max()
    return factor != 0 and bool(near.mean() >= _SHARE_THAT_FITS)


def _of_match(name: str, match: LabelMatch, allowed: int) -> Verdict:
    said = f"the target is {match.formula} "
    if match.ahead == 0:
        return Verdict(
            stage="label", column=name, verdict="clean", evidence=f"{said}up to its own row: known when stamped"
        )
    said += f"behind its own: it looks {match.ahead} ahead, and label_horizon is {allowed}"
    if match.ahead <= allowed:
        return Verdict(stage="label", column=name, verdict="clean", evidence=said)
    what = "the target's lags hold labels that are not realised yet" if not allowed else "the purge is too short"
    return Verdict(
        stage="label",
        column=name,
        # A column that is stamped a row late, such as the open of a market that never closes, looks the same.
        verdict="leak" if match.ahead > 1 else "suspicious",
        evidence=f"{said}: {what}",
        remedy=f"give --label-horizon {match.ahead}",
    )


def _without_match(name: str, open_rows: int, allowed: int) -> Verdict:
    if allowed and open_rows == allowed:
        return Verdict(
            stage="label",
            column=name,
            verdict="clean",
            evidence=f"{counted(open_rows, 'row')} at the end without a target yet, as label_horizon {allowed} says",
        )
    return Verdict(
        stage="label",
        column=name,
        verdict="not testable",
        evidence="the target is no change of another column over some rows, and is there up to the last row",
        remedy="bring the column that it is made of (it may be in 'exclude'), or the query that makes it",
    )
