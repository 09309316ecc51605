"""The label stage: does the target look further ahead than `label_horizon` says?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.verdicts import AuditVerdict, clean, not_testable
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted, pasteable

Array = npt.NDArray[np.float64]

LONGEST_LABEL = 60
_SAMPLE = 64
_TOLERANCE = 1e-6
_FEWEST_ROWS = 30
# A few values may not fit, such as where two sources meet; a wrong formula fits nowhere.
_SHARE_THAT_FITS = 0.99


@dataclass(frozen=True)
class LabelMatch:
    """A formula that gives the target from a column, and how many rows it looks ahead."""

    column: str
    formula: str
    ahead: int


def audit_label(frame: pd.DataFrame, features: FeatureSpec) -> list[AuditVerdict]:
    """Return verdicts on the target: whether it looks further ahead of its timestamp than `label_horizon`.

    `frame` has the rows as loaded. The stage counts the rows at the end without a target, and checks whether the target
    equals a forward or backward change of another column over up to `LONGEST_LABEL` rows.
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
                f"have no target: it becomes known {counted(open_rows, 'row')} later, and label_horizon is {allowed}"
                + ("" if certain else ", or it is no longer updated"),
                remedy=f"set `label_horizon` {open_rows}, or fill in the target up to the last row",
            )
        )
    if match is not None:
        verdicts.append(_of_match(name, match, allowed))
    elif not verdicts:
        verdicts.append(_without_match(name, open_rows, allowed))
    return verdicts


def unrealised_rows(frame: pd.DataFrame, target: str) -> int:
    """Return the number of rows at the end without a target."""
    missing = frame[target].isna().to_numpy()[::-1]
    return len(missing) if missing.all() else int(missing.argmin())


def match_label(frame: pd.DataFrame, target: str) -> LabelMatch | None:
    """Return the formula that gives the target and looks ahead the least, or None.

    It tries the relative change, log change, difference, sum and compounded sum of each other numeric column over 1 to
    `LONGEST_LABEL` rows, backward and forward from the target's row. A constant factor such as 100 is allowed.
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
                for formula in column.series:
                    # Any column that repeats the target a row late would look like a sum over one later row.
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
        """Return the series that these values allow."""
        series = {"difference": values, "sum": np.nancumsum(values)}
        with np.errstate(all="ignore"):
            if np.nanmin(values, initial=np.inf) > 0:
                series = {"log change": np.log(values), "relative change": np.log(values), **series}
            if np.nanmin(values, initial=np.inf) > -1:
                series["compounded sum"] = np.nancumsum(np.log1p(values))
        return cls(name, series)

    def change(self, formula: str, start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]) -> Array:
        """Return the change between each pair of rows."""
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
    # The median keeps a few rows that do not fit from changing the factor.
    factor = float(np.median(wanted[apart] / change[apart]))
    near = np.abs(wanted - factor * change) <= _TOLERANCE * np.abs(wanted).max()
    return factor != 0 and bool(near.mean() >= _SHARE_THAT_FITS)


def _of_match(name: str, match: LabelMatch, allowed: int) -> AuditVerdict:
    message = f"the target is {match.formula} "
    if match.ahead == 0:
        return clean("label", name, f"{message}up to its own row, so it is known at its timestamp")
    message += f"after its own: it looks {match.ahead} ahead, and label_horizon is {allowed}"
    if match.ahead <= allowed:
        return clean("label", name, message)
    what = "the target's lags contain labels that are not known yet" if not allowed else "the purge is too short"
    return AuditVerdict(
        stage="label",
        column=name,
        # A column that is a row late, such as the open of a market that never closes, looks the same.
        verdict="leak" if match.ahead > 1 else "suspicious",
        evidence=f"{message}: {what}",
        remedy=f"set `label_horizon` {match.ahead}",
    )


def _without_match(name: str, open_rows: int, allowed: int) -> AuditVerdict:
    if allowed and open_rows == allowed:
        message = f"{counted(open_rows, 'row')} at the end without a target, as label_horizon = {allowed} says"
        return clean("label", name, message)
    return not_testable(
        "label",
        name,
        "the target is not a change of another column, and is known up to the last row",
        "add the column from which it is computed (it may be in 'exclude'), or use the query that computes it",
    )
