"""The faults that a check can find, and its result."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pandas as pd

from kallos.errors import DataError
from kallos.words import pasteable

Severity = Literal["error", "warning"]

# An error makes a study fail or its scores wrong. The user judges a warning.
FAULTS: Mapping[str, Severity] = {
    "colliding-columns": "error",
    "no-timestamp-column": "error",
    "missing-timestamps": "error",
    "unreadable-timestamps": "error",
    "mixed-time-zones": "error",
    "epoch-timestamps": "error",
    "no-rows": "error",
    "duplicate-timestamps": "error",
    "missing-rows": "error",
    "irregular-timestamps": "error",
    "days-elsewhere": "error",
    "mixed-frequency": "error",
    "too-few-timestamps": "error",
    "missing-target": "error",
    "idle-pattern": "error",
    "text-column": "error",
    "boolean-column": "error",
    "object-column": "error",
    "integer-overflow": "error",
    "float-overflow": "error",
    "empty-column": "error",
    "leading-missing-values": "error",
    "inner-missing-values": "error",
    "trailing-missing-values": "error",
    "infinite-values": "error",
    "negative-volume": "error",
    "negative-volatility": "error",
    "no-logarithm": "error",
    "taken-name": "error",
    "short-label-horizon": "error",
    "long-label-horizon": "error",
    "constant-target": "error",
    "constant-target-in-fold": "error",
    "leaking-column": "error",
    "too-few-rows": "error",
    "short-window": "error",
    "short-training": "error",
    "similar-column-names": "warning",
    "differing-offsets": "warning",
    "local-days": "warning",
    "left-out-rows": "warning",
    "unsorted-rows": "warning",
    "off-clock-row": "warning",
    "unfinished-row": "warning",
    "future-timestamps": "warning",
    "integer-epochs": "warning",
    "integer-gaps": "warning",
    "imprecise-integers": "warning",
    "filled-target": "warning",
    "stale-fill": "warning",
    "constant-column": "warning",
    "near-constant-column": "warning",
    "constant-in-training": "warning",
    "duplicate-column": "warning",
    "target-copy": "warning",
    "lagged-target-copy": "warning",
    "shifted-column": "warning",
    "scale-jump": "warning",
    "outlier": "warning",
    "glitch": "warning",
    "unadjusted-split": "warning",
    "frozen-column": "warning",
    "clipped-input": "warning",
    "constant-target-in-window": "warning",
    "halted-asset": "warning",
    "shifted-rows": "warning",
}


@dataclass(frozen=True)
class Finding:
    """One fault: what is wrong, where, and what to do about it.

    `timestamps` are those of the first few rows at fault, as text. `parameter` is the field of the specification at
    fault. `known_from` is the first timestamp after values that are missing at the beginning. `asset` is set if there
    are several.
    """

    fault: str
    message: str
    remedy: str
    column: str | None = None
    timestamps: tuple[str, ...] = ()
    fold: int | None = None
    parameter: str | None = None
    table: str = ""
    known_from: Any = None
    asset: str | None = None

    @classmethod
    def of(cls, error: DataError, **place: Any) -> "Finding":
        """Return an error as a finding; `place` fills in what the error does not say about its place."""
        place = {**place, **error.place}
        return cls(
            message=error.rule, remedy=error.remedy, **{**place, "timestamps": first_few(place.get("timestamps", ()))}
        )

    @property
    def severity(self) -> Severity:
        """Whether it makes tuning unsound ("error") or the user has to judge it ("warning")."""
        return FAULTS[self.fault]

    @property
    def line(self) -> str:
        """The finding in one line: rule, value, remedy."""
        asset = "" if self.asset is None else f"{self.asset}: "
        return " ".join(f"{asset}{self.message}; {self.remedy}".split())

    @property
    def place(self) -> str:
        """Asset, column, first timestamp, fold and parameter, as far as they are known."""
        column = None if self.column is None else f"column {pasteable(self.column)}"
        fold = None if self.fold is None else f"fold {self.fold}"
        return ", ".join(part for part in (self.asset, column, *self.timestamps[:1], fold, self.parameter) if part)

    def document(self) -> dict[str, Any]:
        """Return the finding as plain values for JSON."""
        return {
            "fault": self.fault,
            "severity": self.severity,
            "table": self.table,
            **({} if self.asset is None else {"asset": self.asset}),
            "column": self.column,
            "timestamps": list(self.timestamps),
            "fold": self.fold,
            "parameter": self.parameter,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class SeenFold:
    """A fold in the data's own timestamps, all inclusive."""

    number: int
    train_start: str
    train_end: str
    validation_start: str
    validation_end: str


@dataclass(frozen=True)
class Examination:
    """All findings, errors first, and what a study would see of the rows.

    If there are errors, the latter describes repaired rows, without duplicated or unreadable timestamps. The
    `holdout_rows` follow, from `holdout_first` on; none of their values is examined. `longest_input` is the input
    length that the search space is clipped to, or None if it fits as a whole.
    """

    findings: tuple[Finding, ...]
    rows: int = 0
    first: str | None = None
    last: str | None = None
    left_out: int = 0
    holdout_rows: int = 0
    holdout_first: str | None = None
    frequency: str | None = None
    columns: Mapping[str, tuple[str, ...]] | None = None
    folds: tuple[SeenFold, ...] = ()
    longest_input: int | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make tuning unsound."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not stop a study."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def is_sound(self) -> bool:
        """Whether a study can be tuned on these rows."""
        return not self.errors

    def summary(self) -> dict[str, Any]:
        """Return what a study would see, as plain values for JSON."""
        return {
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "rows_outside_dates": self.left_out,
            "rows_of_holdout": self.holdout_rows,
            "frequency": self.frequency,
            "columns": {group: list(names) for group, names in (self.columns or {}).items()},
            "folds": [asdict(fold) for fold in self.folds],
            "longest_input": self.longest_input,
        }

    @classmethod
    def of_assets(cls, each: Mapping[str, "Examination"]) -> "Examination":
        """Return the examination of a single asset as it is, or the findings and rows of several together."""
        if len(each) == 1:
            return next(iter(each.values()))
        found = [replace(finding, asset=asset) for asset, one in each.items() for finding in one.findings]
        return cls(findings=in_order(found), rows=sum(one.rows for one in each.values()))

    def require_sound(self) -> None:
        """Raise `DataError` with one line for each error, if there are errors."""
        lines = [finding.line for finding in self.errors]
        if len(lines) == 1:
            raise DataError(lines[0])
        if lines:
            raise DataError("\n  ".join([f"rows must be sound to tune on, and have {len(lines)} faults:", *lines]))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, errors first."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def first_few(timestamps: pd.Index | tuple[Any, ...]) -> tuple[str, ...]:
    """Return the first few timestamps as text."""
    return tuple(str(timestamp) for timestamp in timestamps[:3])


@contextmanager
def noted(findings: list[Finding], **place: Any) -> Iterator[None]:
    """Add a `DataError` of this block to the findings."""
    try:
        yield
    except DataError as error:
        findings.append(Finding.of(error, **place))
