"""Does a query's past move when its future is taken away?"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.verdicts import Verdict
from kallos.errors import DataError
from kallos.planning import stamp
from kallos.report import counted
from kallos.specs import FeatureSpec

Load = Callable[[str | None], pd.DataFrame]

# Where the query is cut off, as shares of its rows. The uneven ones fall into the midst of weeks and months, so that
# what is filled backwards from a period's end shows; the early ones come before a series' extremes.
CUTS = (0.05, 0.13, 0.29, 0.431, 0.577, 0.713, 0.829, 0.937, 0.9983)
_FEWEST_ROWS = 2


def audit_query(load: Load, features: FeatureSpec, *, end_date: str | None = None) -> list[Verdict]:
    """Return a verdict per column: whether rows that lie before an earlier end date change with it.

    `load(end_date)` returns the rows up to that date, indexed by sorted stamps, computed from nothing behind it. A
    feature must not change at all. The target may change, be missing or lack its row in the last `label_horizon` rows
    before each cut, and nowhere else: what changes further back looks further ahead than the purge.
    """
    full = load(end_date)
    ahead: dict[str, int] = {}
    rows: dict[str, set[int]] = {name: set() for name in full.columns}
    whole: set[str] = set()
    lost: set[int] = set()
    label_ahead, n_cuts, n_heedless = 0, 0, 0
    for cut in sorted({round(share * (len(full) - 1)) for share in CUTS}):
        if not _FEWEST_ROWS <= cut + 1 < len(full):
            continue
        try:
            part = load(_moment_behind(full.index, cut))
        except DataError:
            # So few rows may be too few for the query, or for a frequency to be found.
            continue
        # A date as text may let in some rows more than were asked for.
        cut = max(cut, int(full.index.searchsorted(part.index[-1], side="right")) - 1)
        if cut + 1 >= len(full):
            n_heedless += 1
            continue
        known = full.iloc[: cut + 1]
        there = known.index.isin(part.index)
        missing = np.flatnonzero(~there)
        if len(missing):
            # Rows that the label's query leaves out, as long as it is not realised, are the label's affair.
            label_ahead = max(label_ahead, cut + 1 - int(missing[0]))
            lost |= {int(row) for row in missing if cut + 1 - row > features.label_horizon}
        places = np.flatnonzero(there)
        shared = known.iloc[places]
        n_cuts += 1
        for name, change in changes(shared, part.loc[shared.index]).items():
            if len(change.rows):
                moved = places[change.rows]
                rows[name] |= {int(row) for row in moved}
                ahead[name] = max(ahead.get(name, 0), cut + 1 - int(moved[0]))
                if len(change.rows) > len(shared) // 2:
                    whole.add(name)
    if not n_cuts:
        return [_heedless() if n_heedless else _nothing_to_compare(len(full))]
    verdicts = list(_features(full, features, rows, ahead, whole, n_cuts))
    verdicts.append(_target(full, features, rows, max(ahead.get(features.target, 0), label_ahead), lost, n_cuts))
    return verdicts


def audit_table() -> Verdict:
    """Return the verdict on a plain table or view, whose rows an earlier end date only filters."""
    return Verdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence="a table keeps what was computed at some time, and an earlier end date only filters its rows",
        remedy="compare it with an earlier state (--against SNAPSHOT.parquet), or give the query that computes it",
    )


def _moment_behind(index: pd.Index, row: int) -> str:
    """Return an end date that takes a row in and leaves the next one out, of timestamps half-way between the two.

    Many a query compares them as text, or takes the end to be exclusive, and would miss the row by a hair.
    """
    if not isinstance(index, pd.DatetimeIndex):
        return str(stamp(index[row]))
    between: pd.Timestamp = index[row] + (index[row + 1] - index[row]) / 2
    return str(between.isoformat())


def _features(
    full: pd.DataFrame,
    features: FeatureSpec,
    rows: dict[str, set[int]],
    ahead: dict[str, int],
    whole: set[str],
    n_cuts: int,
) -> Iterator[Verdict]:
    for name in full.columns:
        if name == features.target:
            continue
        moved = sorted(rows[name])
        if not moved:
            yield Verdict(
                stage="query",
                column=name,
                verdict="clean",
                evidence=f"no row of {len(full)} changes at {counted(n_cuts, 'earlier end date')}",
            )
            continue
        reach = (
            "most rows change at once: it is computed over the whole series"
            if name in whole
            else f"it looks {counted(ahead[name], 'row')} ahead"
        )
        yield Verdict(
            stage="query",
            column=name,
            verdict="leak",
            evidence=f"{len(moved)} of {len(full)} rows change with an earlier end date, first "
            f"{stamp(full.index[moved[0]])}: {reach}",
            remedy="compute it from the row itself and those before it (a window that ends at the current row)",
        )


def _target(
    full: pd.DataFrame, features: FeatureSpec, rows: dict[str, set[int]], ahead: int, lost: set[int], n_cuts: int
) -> Verdict:
    name, allowed = features.target, features.label_horizon
    if ahead <= allowed:
        return Verdict(
            stage="query",
            column=name,
            verdict="clean",
            evidence=f"looks {counted(ahead, 'row')} ahead at {counted(n_cuts, 'earlier end date')}, and "
            f"label_horizon is {allowed}",
        )
    moved = sorted(rows.get(name, set()) | lost)
    first = stamp(full.index[moved[0]]) if moved else None
    return Verdict(
        stage="query",
        column=name,
        verdict="leak",
        evidence=f"the label looks {counted(ahead, 'row')} ahead (rows change or vanish with an earlier end date, "
        f"first {first}), and label_horizon is {allowed}: the purge is too short",
        remedy=f"give --label-horizon {ahead}, or compute the target from less of the future",
    )


def _heedless() -> Verdict:
    return Verdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence="the query returns all its rows whatever its end date, so that running it again proves nothing",
        remedy="let the query read no row behind :end_date",
    )


def _nothing_to_compare(n_rows: int) -> Verdict:
    return Verdict(
        stage="query",
        column=None,
        verdict="not testable",
        evidence=f"no earlier end date within its {n_rows} rows leaves rows to compare",
        remedy="bring more rows",
    )
