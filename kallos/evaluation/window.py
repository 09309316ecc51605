"""Which rows of a hold-out are scored: behind all that the model has learnt from, and behind the purge."""

import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.dates import date_bounds
from kallos.features.moments import Timestamp, timestamp
from kallos.specs.study import TuneSpec
from kallos.words import day


def find_window(
    index: pd.Index, spec: TuneSpec, *, study_end: Timestamp, start_date: str | None = None, end_date: str | None = None
) -> slice:
    """Return the positions of the rows from `start_date` to `end_date`, both inclusive, by default as wide as may be.

    `study_end` is the last row that the model's study saw. A label that looks L rows ahead is known L rows later, so
    that the L-1 rows behind it, and the gap, are purged like those before any validation window.

    Raises `UsageError` if the start lies before the first row that may be scored, and `DataError` if the rows of the
    study are missing, or none are left that hold a whole horizon.
    """
    has_dates = isinstance(index, pd.DatetimeIndex)
    known = pd.Timestamp(study_end) if has_dates else int(study_end)
    n_purged = spec.features.lead - 1 + spec.folds.gap
    first = int(index.searchsorted(known, side="right")) + n_purged
    if first == n_purged or index[first - n_purged - 1] != known:
        raise DataError(
            f"the rows must hold those of the model's study, which ends with {study_end}: there is no such row"
        )
    start, end = date_bounds(start_date, end_date, has_dates=has_dates, prefix="test_")
    begin = first if start is None else int(index.searchsorted(start))
    stop = len(index) if end is None else int(index.searchsorted(end, side="right"))
    if begin < first:
        allowed = f"not before {day(timestamp(index[first]))}" if first < len(index) else "behind the last row there is"
        purged = f", and {n_purged} more are purged" if n_purged else ""
        raise UsageError(
            f"`test_start_date` must lie behind what the model's study saw: {start_date} does not, since the study "
            f"ends with {day(study_end)}{purged}; take one {allowed}"
        )
    if stop - begin < spec.horizon:
        remedy = (
            "ingest later rows, or take a later `test_end_date` or an earlier start"
            if spec.folds.holdout
            else "its study kept none; ingest later rows, or tune again with `holdout` 1 or more, and train that"
        )
        raise DataError(
            f"a hold-out must hold one whole horizon of {spec.horizon}, and there are {max(stop - begin, 0)} rows to "
            f"score behind {day(study_end)}: {remedy}"
        )
    return slice(begin, stop)
