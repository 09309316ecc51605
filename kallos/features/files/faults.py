"""Unfit rows: the first one refuses the file, or all are left out and listed by their numbers in the file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.errors import DataError
from kallos.features.files.sources import RawTable
from kallos.words import shorten

_SHOWN = 5
_NAMED = 20
_LONGEST = 40


@dataclass(frozen=True)
class Rejected:
    """Rows of one file that broke one rule and were left out; `first` describes up to five of them."""

    rule: str
    file: str
    n_rows: int
    first: tuple[str, ...]


class RowFaults:
    """Collects the faults of rows: with `skip` in `rejected`, otherwise the first one raises `DataError`."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.rejected: list[Rejected] = []
        self._left_out: dict[str, dict[pd.Timestamp, str]] = {}

    def reject(self, rule: str, table: RawTable, unfit: np.ndarray, show: Callable[[int], str], remedy: str) -> None:
        """Reject the rows of a table where `unfit` holds; `show` describes row i."""
        rows = np.flatnonzero(unfit)
        if len(rows):
            self.reject_places(rule, table, table.places[rows].tolist(), lambda at: show(int(rows[at])), remedy)

    def reject_places(
        self, rule: str, table: RawTable, places: list[int], show: Callable[[int], str], remedy: str
    ) -> None:
        """Reject rows by their places; `show` describes the i-th of them."""
        word = table.place_word
        if not self._skip:
            others = places[1:]
            more = f" (and {word}{'s' * (len(others) > 1)} {shorten(others, _NAMED)})" if others else ""
            # Leaving out all rows would not help.
            is_all = 1 < len(places) == len(table.places) + len(table.misshapen)
            way = "" if is_all else ", or leave such rows out with `skip_bad_rows`"
            raise DataError(f"{rule}: {table.name}, {word} {places[0]}: {show(0)}{more}; {remedy}{way}")
        first = tuple(f"{word} {position}: {show(at)}" for at, position in enumerate(places[:_SHOWN]))
        self.rejected.append(Rejected(rule, table.name, len(places), first))

    def leave_out(self, rule: str, keys: Iterable[tuple[str, pd.Timestamp]]) -> None:
        """Record the asset and timestamp of rows that break a rule."""
        for asset_id, timestamp in keys:
            self._left_out.setdefault(asset_id, {})[timestamp] = rule

    def left_out_of(self, frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.Series]:
        """Return the rules by asset and timestamp, except for timestamps that also have a fit row."""
        found: dict[str, pd.Series] = {}
        for asset_id, rules in self._left_out.items():
            index = pd.DatetimeIndex([*rules], name="timestamp").as_unit("ns")
            reasons = pd.Series([*rules.values()], index, dtype=object).sort_index()
            if asset_id in frames:
                reasons = reasons[~reasons.index.isin(frames[asset_id].index)]
            if len(reasons):
                found[asset_id] = reasons
        return found


def shortened(value: object) -> str:
    """Return a value of a file on one short line."""
    if value is None or value == "":
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
