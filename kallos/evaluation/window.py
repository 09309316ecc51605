"""Which rows of a hold-out are scored: those after the study's last row and the purge."""

import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.dates import date_bounds
from kallos.features.moments import Timestamp, timestamp
from kallos.specs.study import TuneSpec
from kallos.words import day


def find_window(
    index: pd.Index, spec: TuneSpec, *, study_end: Timestamp, start_date: str | None = None, end_date: str | None = None
) -> slice:
    """Return the positions of the rows from `start_date` to `end_date`, both inclusive; None means as far as possible.

    `study_end` is the last row that the model's study saw. A label that looks L rows ahead is known L rows later, so
    the next L-1 rows and the gap are purged, as before any validation window.

    Raises `UsageError` if the start lies before the first row that can be scored, and `DataError` if the study's last
    row is missing, or the rows left are fewer than a horizon.
    """
    has_dates = isinstance(index, pd.DatetimeIndex)
    known = pd.Timestamp(study_end) if has_dates else int(study_end)
    n_purged = spec.features.lead - 1 + spec.folds.gap
    first = int(index.searchsorted(known, side="right")) + n_purged
    if first == n_purged or index[first - n_purged - 1] != known:
        raise DataError(
            f"an evaluation needs the rows of the model's study, and its last row, {study_end}, is missing: restore "
            f"the study's rows"
        )
    start, end = date_bounds(start_date, end_date, has_dates=has_dates, prefix="test_")
    begin = first if start is None else int(index.searchsorted(start))
    stop = len(index) if end is None else int(index.searchsorted(end, side="right"))
    if begin < first:
        remedy = f"start at {day(timestamp(index[first]))} or later" if first < len(index) else "ingest later rows"
        purged = f" and {n_purged} more rows are purged" if n_purged else ""
        raise UsageError(
            f"`test_start_date` must come after the rows that the model's study saw, and {start_date} does not: the "
            f"study ends at {day(study_end)}{purged}; {remedy}"
        )
    if stop - begin < spec.horizon:
        remedy = (
            "ingest later rows, or choose a later `test_end_date` or an earlier `test_start_date`"
            if spec.folds.holdout
            else "the study kept none; ingest later rows, or tune again with `holdout` 1 or more and train that model"
        )
        raise DataError(
            f"a hold-out needs at least one horizon of {spec.horizon}, and {max(stop - begin, 0)} rows can be scored "
            f"after {day(study_end)}: {remedy}"
        )
    return slice(begin, stop)
