"""Does a query's past move when its future is taken away?"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.verdicts import AuditVerdict
from kallos.errors import DataError, require, require_callable
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted

Load = Callable[[str | None], pd.DataFrame]

# Where the query is cut off, as shares of its rows. The uneven ones fall into the midst of weeks and months, so that
# what is filled backwards from a period's end shows; the early ones come before a series' extremes.
CUTS = (0.05, 0.13, 0.29, 0.431, 0.577, 0.713, 0.829, 0.937, 0.9983)
_FEWEST_ROWS = 2


def audit_query(load: Load, features: FeatureSpec, *, end_date: str | None = None) -> list[AuditVerdict]:
    """Return a verdict per column: whether rows that lie before an earlier end date change with it.

    `load(end_date)` returns the rows up to that date, indexed by sorted timestamps, computed from nothing behind it. A
    feature must not change at all. The target may change, be missing or lack its row in the last `label_horizon` rows
    before each cut, and nowhere else: what changes further back looks further ahead than the purge. Nothing is proved
    by what stays the same where a label is known before it can be, since then the query reads behind its end date; nor
    of a feature where the query leaves out rows before its end date, which may be those that would change.
    """
    require_callable(load=load)
    require(FeatureSpec, features=features)
    require((str, type(None)), end_date=end_date)
    full = load(end_date)
    found = _Found(full, features)
    n_heedless = 0
    for cut in sorted({round(share * (len(full) - 1)) for share in CUTS}):
        if not _FEWEST_ROWS <= cut + 1 < len(full):
            continue
        try:
            earlier = _rows_up_to(load, full.index, cut)
        except DataError:
            # So few rows may be too few for the query, or for a frequency to be found.
            continue
        if earlier.last + 1 >= len(full):
            n_heedless += 1
        else:
            found.compare(earlier)
    if not found.n_cuts:
        return [_heedless() if n_heedless else _nothing_to_compare(len(full))]
    verdicts = [*(found.of_feature(name) for name in full.columns if name != features.only_target), found.of_target()]
    if found.is_realised and all(found.is_realised):
        return [*(each for each in verdicts if each.verdict == "leak"), _reads_behind(features)]
    hidden = max(found.label_ahead, int(found.is_day_lost))
    # A target may be left out in as many rows as its label looks ahead.
    spared = {features.only_target} if hidden > found.is_day_lost or features.label_horizon else set()
    return [_unseen(each, hidden) if hidden and each.column not in spared else each for each in verdicts]


def audit_table() -> AuditVerdict:
    """Return the verdict on a plain table or view, whose rows an earlier end date only filters."""
    return AuditVerdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence="a table keeps what was computed at some time, and an earlier end date only filters its rows",
        remedy="compare it with an earlier state (`against` SNAPSHOT.parquet), or give the query that computes it",
    )


@dataclass(frozen=True)
class _Earlier:
    """What the query gives at an earlier end date: its rows, and the last of all rows that it could have given.

    `end` is the end date where a row is stamped with it to the moment, and may be left out for that.
    """

    rows: pd.DataFrame
    last: int
    end: pd.Timestamp | int | None = None


def _rows_up_to(load: Load, index: pd.Index, row: int) -> _Earlier:
    """Run the query up to a row; if it leaves out that row, up to the next midnight (or row, of an integer index).

    Up to there, a query that takes its end date for text or for a day gives all rows before it, as it should; one that
    leaves out labels that are not realised leaves out as many as before.
    """
    part = load(_moment_behind(index, row))
    # A date as text may let in some rows more than were asked for.
    last = max(row, int(index.searchsorted(part.index[-1], side="right")) - 1)
    if last + 1 >= len(index) or index[last] in part.index:
        return _Earlier(part, last)
    end = index[row + 1]
    if isinstance(index, pd.DatetimeIndex):
        end = pd.Timestamp(_moment_behind(index, row)).normalize() + pd.Timedelta(days=1)
    last = int(index.searchsorted(end, side="right")) - 1
    if last + 1 >= len(index):
        raise DataError("no later end date leaves a row to compare")
    return _Earlier(load(str(timestamp(end))), last, end)


def _moment_behind(index: pd.Index, row: int) -> str:
    """Return an end date that takes a row in and leaves the next one out, of timestamps half-way between the two.

    Many a query compares them as text, or takes the end to be exclusive, and would miss the row by a hair.
    """
    if not isinstance(index, pd.DatetimeIndex):
        return str(timestamp(index[row]))
    between: pd.Timestamp = index[row] + (index[row + 1] - index[row]) / 2
    return str(between.isoformat())


@dataclass
class _Found:
    """What earlier end dates have changed so far in the rows of the whole, by their positions.

    `rows` are those of each column that have changed, `ahead` is how far before an end date at the most, and `whole`
    has the columns of which most rows have. The query has left out the rows `lost`; `label_ahead` is how far before an
    end date any was left out, and `is_day_lost` whether the row of an end date itself was. `is_realised` says at each
    end date whether the label of the last row before it was there already.
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
        """Take in what an earlier end date changes."""
        target, horizon, cut = self.features.only_target, self.features.label_horizon, earlier.last
        known = self.full.iloc[: cut + 1]
        is_kept = known.index.isin(earlier.rows.index)
        missing = np.flatnonzero(~is_kept)
        # A label of one row and an end date that is taken to be exclusive leave out the same row.
        is_only_its_day = len(missing) == 1 and earlier.end == self.full.index[missing[0]]
        self.is_day_lost |= is_only_its_day
        if len(missing) and not is_only_its_day:
            # Rows that the label's query leaves out, as long as it is not realised, are the label's affair.
            self.label_ahead = max(self.label_ahead, cut + 1 - int(missing[0]))
            self.lost |= {int(row) for row in missing if cut + 1 - row > horizon}
        places = np.flatnonzero(is_kept)
        shared = known.iloc[places]
        self.n_cuts += 1
        for name, change in changes(shared, earlier.rows.loc[shared.index]).items():
            if len(change.rows):
                moved = places[change.rows]
                self.rows[name] |= {int(row) for row in moved}
                self.ahead[name] = max(self.ahead[name], cut + 1 - int(moved[0]))
                if len(change.rows) > len(shared) // 2:
                    self.whole.add(name)
        last = places[-1]
        if horizon > cut - last <= is_only_its_day and pd.notna(self.full[target].iloc[last]):
            self.is_realised.append(int(last) not in self.rows[target])

    def of_feature(self, name: str) -> AuditVerdict:
        """Return the verdict on a covariate, of which no row may have changed."""
        moved = sorted(self.rows[name])
        if not moved:
            message = f"no row of {len(self.full)} changes at {counted(self.n_cuts, 'earlier end date')}"
            return AuditVerdict(
                stage="query", column=name, verdict="clean", evidence=message + _condition(self.features)
            )
        reach = (
            "most rows change at once: it is computed over the whole series"
            if name in self.whole
            else f"it looks {counted(self.ahead[name], 'row')} ahead"
        )
        return AuditVerdict(
            stage="query",
            column=name,
            verdict="leak",
            evidence=f"{len(moved)} of {len(self.full)} rows change with an earlier end date, first "
            f"{timestamp(self.full.index[moved[0]])}: {reach}",
            remedy="compute it from the row itself and those before it (a window that ends at the current row)",
        )

    def of_target(self) -> AuditVerdict:
        """Return the verdict on the target, of which as many rows may have changed as its label looks ahead."""
        name, allowed = self.features.only_target, self.features.label_horizon
        ahead = max(self.ahead[name], self.label_ahead)
        if ahead <= allowed:
            return AuditVerdict(
                stage="query",
                column=name,
                verdict="clean",
                evidence=f"looks {counted(ahead, 'row')} ahead at {counted(self.n_cuts, 'earlier end date')}, and "
                f"label_horizon is {allowed}{_condition(self.features)}",
            )
        moved = sorted(self.rows[name] | self.lost)
        first = timestamp(self.full.index[moved[0]]) if moved else None
        return AuditVerdict(
            stage="query",
            column=name,
            verdict="leak",
            evidence=f"the label looks {counted(ahead, 'row')} ahead (rows change or vanish with an earlier end date, "
            f"first {first}), and label_horizon is {allowed}: the purge is too short",
            remedy=f"give `label_horizon` {ahead}, or compute the target from less of the future",
        )


def _condition(features: FeatureSpec) -> str:
    """Return what a clean verdict rests on where no open label shows that it is so."""
    return "" if features.label_horizon else ", if :end_date bounds what its windows read"


def _reads_behind(features: FeatureSpec) -> AuditVerdict:
    return AuditVerdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence=f"labels are there up to each earlier end date, though they are known "
        f"{counted(features.label_horizon, 'row')} later: the query reads behind its end date, and running it again "
        f"proves nothing",
        remedy="bind :end_date in the innermost SELECT, before any window or aggregate, and compute the label there",
    )


def _unseen(verdict: AuditVerdict, n_rows: int) -> AuditVerdict:
    """Return what is left of a clean verdict where the query leaves out as many rows before its end date."""
    if verdict.verdict != "clean":
        return verdict
    remedy = "keep the open rows: leave the label NULL"
    if n_rows == 1:
        remedy += "; and compare moments, not days or text (in SQLite datetime(timestamp) <= :end_date)"
    return verdict.model_copy(
        update={
            "verdict": "not testable",
            "evidence": f"the query leaves out {counted(n_rows, 'row')} before its end date: nothing shows whether "
            f"this looks up to {counted(n_rows, 'row')} ahead",
            "remedy": remedy,
        }
    )


def _heedless() -> AuditVerdict:
    return AuditVerdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence="the query returns all its rows whatever its end date, so that running it again proves nothing",
        remedy="let the query read no row behind :end_date",
    )


def _nothing_to_compare(n_rows: int) -> AuditVerdict:
    return AuditVerdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence=f"no earlier end date within its {n_rows} rows leaves rows to compare",
        remedy="bring more rows",
    )
