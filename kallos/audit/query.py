"""The query stage: does a query's past change when its future is removed?"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.verdicts import AuditVerdict, clean, leak, not_testable
from kallos.errors import DataError, require, require_callable
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted

Load = Callable[[str | None], pd.DataFrame]

# Where the query is cut off, as shares of its rows. The odd ones fall inside weeks and months, and so show what
# is filled backwards from the end of a period. The early ones come before a series' extremes.
CUTS = (0.05, 0.13, 0.29, 0.431, 0.577, 0.713, 0.829, 0.937, 0.9983)
_FEWEST_ROWS = 2


def audit_query(load: Load, features: FeatureSpec, *, end_date: str | None = None) -> list[AuditVerdict]:
    """Return a verdict for each column: whether rows before an earlier end date change with it.

    `load(end_date)` returns the rows up to that date, indexed by sorted timestamps and computed from no later rows. A
    feature must not change at all. The target may change, be missing or lack its row only in the last `label_horizon`
    rows before each cut. A change further back means that the label looks further ahead than the purge covers.

    Unchanged columns prove nothing if a label is known too early, because the query then reads rows after its end date.
    Unchanged features prove nothing if the query leaves out rows before its end date, because those may have changed.
    """
    require_callable(load=load)
    require(FeatureSpec, features=features)
    require((str, type(None)), end_date=end_date)
    full = load(end_date)
    found = _Found(full, features)
    n_ignored = 0
    for cut in sorted({round(share * (len(full) - 1)) for share in CUTS}):
        if not _FEWEST_ROWS <= cut + 1 < len(full):
            continue
        try:
            earlier = _rows_up_to(load, full.index, cut)
        except DataError:
            # These may be too few rows for the query, or to find a frequency.
            continue
        if earlier.last + 1 >= len(full):
            n_ignored += 1
        else:
            found.compare(earlier)
    if not found.n_cuts and n_ignored:
        evidence = "the query returns all its rows whatever its end date, so running it again proves nothing"
        return [not_testable("query", None, evidence, "let the query read no row after :end_date")]
    if not found.n_cuts:
        evidence = f"no earlier end date within its {len(full)} rows leaves rows to compare"
        return [not_testable("query", None, evidence, "bring more rows")]
    verdicts = [*(found.of_feature(name) for name in full.columns if name != features.only_target), found.of_target()]
    if found.is_realised and all(found.is_realised):
        return [*(each for each in verdicts if each.verdict == "leak"), _reads_later_rows(features)]
    hidden = max(found.label_ahead, int(found.is_day_lost))
    # The query may leave out as many labels as the label looks rows ahead.
    spared = {features.only_target} if hidden > found.is_day_lost or features.label_horizon else set()
    return [_unseen(each, hidden) if hidden and each.column not in spared else each for each in verdicts]


def audit_table() -> AuditVerdict:
    """Return the verdict on a plain table or view, whose rows an earlier end date only filters."""
    return not_testable(
        "query",
        None,
        "a table keeps what was computed at some time, and an earlier end date only filters its rows",
        "compare it with an earlier state (`against` SNAPSHOT.parquet), or use the query that computes it",
    )


@dataclass(frozen=True)
class _Earlier:
    """The query's rows at an earlier end date, and the position of the last row that it could have returned.

    `end` is the end date if a row has exactly this timestamp, so that the query may leave the row out.
    """

    rows: pd.DataFrame
    last: int
    end: pd.Timestamp | int | None = None


def _rows_up_to(load: Load, index: pd.Index, row: int) -> _Earlier:
    """Run the query up to a row. If it leaves out that row, run it up to the next midnight (or the next integer).

    Up to there, a query that compares its end date as text or as a day returns all earlier rows, as it should. A query
    that drops unknown labels still drops as many as before.
    """
    part = load(_moment_after(index, row))
    # A date that is compared as text may let in some later rows.
    last = max(row, int(index.searchsorted(part.index[-1], side="right")) - 1)
    if last + 1 >= len(index) or index[last] in part.index:
        return _Earlier(part, last)
    end = index[row + 1]
    if isinstance(index, pd.DatetimeIndex):
        end = pd.Timestamp(_moment_after(index, row)).normalize() + pd.Timedelta(days=1)
    last = int(index.searchsorted(end, side="right")) - 1
    if last + 1 >= len(index):
        raise DataError("no later end date leaves a row to compare")
    return _Earlier(load(str(timestamp(end))), last, end)


def _moment_after(index: pd.Index, row: int) -> str:
    """Return an end date that includes a row but not the next one: for timestamps, half-way between the two.

    Some queries compare it as text or treat it as exclusive, and would miss a row at that very moment.
    """
    if not isinstance(index, pd.DatetimeIndex):
        return str(timestamp(index[row]))
    between: pd.Timestamp = index[row] + (index[row + 1] - index[row]) / 2
    return str(between.isoformat())


@dataclass
class _Found:
    """What earlier end dates have changed so far in the full result, by row position.

    `rows` are the changed rows of each column, `ahead` is how far before an end date they lie at most, and `whole` has
    the columns in which most rows changed. The query left out the rows `lost`; `label_ahead` is how far before an end
    date they lie at most, and `is_day_lost` says whether it left out the row of an end date itself. `is_realised` says
    for each end date whether the label of the last row before it was already known.
    """

    full: pd.DataFrame
    features: FeatureSpec
    rows: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    ahead: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    whole: set[str] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    label_ahead: int = 0
    n_cuts: int = 0
    is_day_lost: bool = False
    is_realised: list[bool] = field(default_factory=list)

    def compare(self, earlier: _Earlier) -> None:
        """Add what an earlier end date changes."""
        target, horizon, cut = self.features.only_target, self.features.label_horizon, earlier.last
        known = self.full.iloc[: cut + 1]
        is_kept = known.index.isin(earlier.rows.index)
        missing = np.flatnonzero(~is_kept)
        # A label of one row and an exclusive end date leave out the same row.
        is_only_its_day = len(missing) == 1 and earlier.end == self.full.index[missing[0]]
        self.is_day_lost |= is_only_its_day
        if len(missing) and not is_only_its_day:
            # The query may leave out rows whose label is not known yet.
            self.label_ahead = max(self.label_ahead, cut + 1 - int(missing[0]))
            self.lost |= {int(row) for row in missing if cut + 1 - row > horizon}
        places = np.flatnonzero(is_kept)
        shared = known.iloc[places]
        self.n_cuts += 1
        for name, changed in changes(shared, earlier.rows.loc[shared.index]).items():
            if len(changed):
                moved = places[changed]
                self.rows[name] |= {int(row) for row in moved}
                self.ahead[name] = max(self.ahead[name], cut + 1 - int(moved[0]))
                if len(changed) > len(shared) // 2:
                    self.whole.add(name)
        last = places[-1]
        if horizon > cut - last <= is_only_its_day and pd.notna(self.full[target].iloc[last]):
            self.is_realised.append(int(last) not in self.rows[target])

    def of_feature(self, name: str) -> AuditVerdict:
        """Return the verdict on a covariate, which must not change in any row."""
        moved = sorted(self.rows[name])
        if not moved:
            message = f"none of {len(self.full)} rows changes at {counted(self.n_cuts, 'earlier end date')}"
            return clean("query", name, message + _condition(self.features))
        reach = (
            "most rows change at once: it is computed over the whole series"
            if name in self.whole
            else f"it looks {counted(self.ahead[name], 'row')} ahead"
        )
        return leak(
            "query",
            name,
            f"{len(moved)} of {len(self.full)} rows change with an earlier end date, first "
            f"{timestamp(self.full.index[moved[0]])}: {reach}",
            "compute it only from its own and earlier rows (a window that ends at the current row)",
        )

    def of_target(self) -> AuditVerdict:
        """Return the verdict on the target, which may change in as many rows as its label looks ahead."""
        name, allowed = self.features.only_target, self.features.label_horizon
        ahead = max(self.ahead[name], self.label_ahead)
        if ahead <= allowed:
            return clean(
                "query",
                name,
                f"looks {counted(ahead, 'row')} ahead at {counted(self.n_cuts, 'earlier end date')}, and label_horizon "
                f"is {allowed}{_condition(self.features)}",
            )
        moved = sorted(self.rows[name] | self.lost)
        first = timestamp(self.full.index[moved[0]]) if moved else None
        return leak(
            "query",
            name,
            f"the label looks {counted(ahead, 'row')} ahead (rows change or vanish with an earlier end date, first "
            f"{first}), and label_horizon is {allowed}: the purge is too short",
            f"set `label_horizon` {ahead}, or compute the target from less of the future",
        )


def _condition(features: FeatureSpec) -> str:
    """Return the assumption of a clean verdict that no unknown label can confirm."""
    return "" if features.label_horizon else ", if :end_date limits what its windows read"


def _reads_later_rows(features: FeatureSpec) -> AuditVerdict:
    return not_testable(
        "query",
        None,
        f"labels are present up to each earlier end date, but become known {counted(features.label_horizon, 'row')} "
        "later: the query reads rows after its end date, so running it again proves nothing",
        "bind :end_date in the innermost SELECT, before any window or aggregate, and compute the label there",
    )


def _unseen(verdict: AuditVerdict, n_rows: int) -> AuditVerdict:
    """Return a clean verdict as not testable, because the query leaves out this many rows before its end date."""
    if verdict.verdict != "clean":
        return verdict
    remedy = "keep rows whose label is not known yet, with NULL as the label"
    if n_rows == 1:
        remedy += "; and compare moments, not days or text (in SQLite datetime(timestamp) <= :end_date)"
    evidence = (
        f"the query leaves out {counted(n_rows, 'row')} before its end date, so nothing shows whether this column "
        f"looks up to {counted(n_rows, 'row')} ahead"
    )
    return not_testable("query", verdict.column, evidence, remedy)
