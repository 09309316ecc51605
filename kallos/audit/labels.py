"""How far does the target look ahead of its timestamp, and is that what `label_horizon` says?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.verdicts import AuditVerdict
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted, pasteable

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


def audit_label(frame: pd.DataFrame, features: FeatureSpec) -> list[AuditVerdict]:
    """Return verdicts on the target: whether it looks further ahead of its timestamp than `label_horizon`.

    `frame` holds the rows as loaded, before the target is stamped. What is asked: for how many rows at the end it is
    not known yet, and whether it equals a change of some column, forward or backward, over up to `LONGEST_LABEL` rows.
    """
    name, allowed = features.only_target, features.label_horizon
    open_rows = unrealised_rows(frame, name)
    match = match_label(frame, name)
    verdicts = []
    if open_rows > allowed:
        certain = open_rows <= LONGEST_LABEL
        verdicts.append(
            AuditVerdict(
                stage="label",
                column=name,
                verdict="leak" if certain else "suspicious",
                evidence=f"{counted(open_rows, 'row')} at the end, from {timestamp(frame.index[-open_rows])} on, "
                f"without a target: it is known {counted(open_rows, 'row')} later, and label_horizon is {allowed}"
                + ("" if certain else ", or it is not filled any more"),
                remedy=f"give `label_horizon` {open_rows}, or fill the target up to the last row",
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
    columns = [
        _Column.of(column, frame[column].to_numpy(np.float64))
        for column in frame.columns
        if column != target and frame[column].dtype.kind in "iuf"
    ]
    longest = min(LONGEST_LABEL, len(wanted) // 3)
    sample = known[np.linspace(0, len(known) - 1, min(_SAMPLE, len(known))).astype(int)]
    for is_forward in (False, True):
        for length in range(1, longest + 1):
            for column in columns:
                for formula in column.formulas:
                    # What looks one row ahead may be any column that repeats the target a row late.
                    if is_forward and length == 1 and formula in _SUMS:
                        continue
                    arguments = (column, formula, length, is_forward)
                    if _fits(wanted, sample, *arguments) and _fits(wanted, known, *arguments):
                        message = f"the {formula} of {pasteable(column.name)} over {counted(length, 'row')}"
                        return LabelMatch(column.name, message, length if is_forward else 0)
    return None


@dataclass(frozen=True)
class _Column:
    """A column, and the running series whose differences are its changes."""

    name: str
    series: dict[str, Array]

    @classmethod
    def of(cls, name: str, values: Array) -> "_Column":
        """Return what can be asked of these values."""
        series = {"difference": values, "sum": np.nancumsum(values)}
        with np.errstate(all="ignore"):
            if np.nanmin(values, initial=np.inf) > 0:
                series = {"log change": np.log(values), "relative change": np.log(values), **series}
            if np.nanmin(values, initial=np.inf) > -1:
                series["compounded sum"] = np.nancumsum(np.log1p(values))
        return cls(name, series)

    @property
    def formulas(self) -> list[str]:
        """The changes that this column has."""
        return list(self.series)

    def change(self, formula: str, start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]) -> Array:
        """Return the change between two rows, for each pair of them."""
        series = self.series[formula]
        with np.errstate(all="ignore"):
            change = series[stop] - series[start]
            if formula in ("relative change", "compounded sum"):
                change = np.expm1(change)
        return change


_SUMS = ("sum", "compounded sum")


def _fits(
    wanted: Array, rows: npt.NDArray[np.int64], column: _Column, formula: str, length: int, is_forward: bool
) -> bool:
    start = rows if is_forward else rows - length
    within = (start >= 0) & (start + length < len(wanted))
    change = column.change(formula, start[within], start[within] + length)
    finite = np.isfinite(change)
    if finite.sum() < _FEWEST_ROWS // 2:
        return False
    return _equal(wanted[rows[within][finite]], change[finite])


def _equal(wanted: Array, change: Array) -> bool:
    apart = np.abs(change) > 0.1 * np.abs(change).max()
    if not apart.any() or not np.ptp(change) > 0:
        return False
    # The median, that a few rows which do not fit may not move the factor.
    factor = float(np.median(wanted[apart] / change[apart]))
    near = np.abs(wanted - factor * change) <= _TOLERANCE * np.abs(wanted).max()
    return factor != 0 and bool(near.mean() >= _SHARE_THAT_FITS)


def _of_match(name: str, match: LabelMatch, allowed: int) -> AuditVerdict:
    message = f"the target is {match.formula} "
    if match.ahead == 0:
        return AuditVerdict(
            stage="label", column=name, verdict="clean", evidence=f"{message}up to its own row: known when stamped"
        )
    message += f"behind its own: it looks {match.ahead} ahead, and label_horizon is {allowed}"
    if match.ahead <= allowed:
        return AuditVerdict(stage="label", column=name, verdict="clean", evidence=message)
    what = "the target's lags hold labels that are not realised yet" if not allowed else "the purge is too short"
    return AuditVerdict(
        stage="label",
        column=name,
        # A column that is stamped a row late, such as the open of a market that never closes, looks the same.
        verdict="leak" if match.ahead > 1 else "suspicious",
        evidence=f"{message}: {what}",
        remedy=f"give `label_horizon` {match.ahead}",
    )


def _without_match(name: str, open_rows: int, allowed: int) -> AuditVerdict:
    if allowed and open_rows == allowed:
        return AuditVerdict(
            stage="label",
            column=name,
            verdict="clean",
            evidence=f"{counted(open_rows, 'row')} at the end without a target yet, as label_horizon {allowed} says",
        )
    return AuditVerdict(
        stage="label",
        column=name,
        verdict="not testable",
        evidence="the target is no change of another column over some rows, and is there up to the last row",
        remedy="bring the column that it is made of (it may be in 'exclude'), or the query that makes it",
    )
