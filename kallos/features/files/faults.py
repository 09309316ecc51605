"""Rows that are unfit: the first refuses its file, or all are left out and told, each with its number in the file."""

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
    """Rows of one file that broke one rule and were left out; `first` says of up to five where and what."""

    rule: str
    file: str
    n_rows: int
    first: tuple[str, ...]


class RowFaults:
    """What is wrong with rows, as it is found.

    Without `skip`, the first fault raises `DataError`; with it, faults are gathered in `rejected`, and the keys of rows
    that have some.
    """

    def __init__(self, *, skip: bool) -> None:
        """Say whether unfit rows may be left out."""
        self._skip = skip
        self.rejected: list[Rejected] = []
        self._left_out: dict[str, dict[pd.Timestamp, str]] = {}

    def reject(self, rule: str, table: RawTable, unfit: np.ndarray, show: Callable[[int], str], remedy: str) -> None:
        """Take note of the rows of a table where `unfit` holds; `show` says what row i has."""
        rows = np.flatnonzero(unfit)
        if len(rows):
            self.reject_places(rule, table, table.places[rows].tolist(), lambda at: show(int(rows[at])), remedy)

    def reject_places(
        self, rule: str, table: RawTable, places: list[int], show: Callable[[int], str], remedy: str
    ) -> None:
        """Take note of rows by their places; `show` says what the i-th of them has."""
        word = table.place_word
        if not self._skip:
            others = places[1:]
            more = f" (and {word}{'s' * (len(others) > 1)} {shorten(others, _NAMED)})" if others else ""
            # To leave all rows out is no remedy.
            is_all = 1 < len(places) == len(table.places) + len(table.misshapen)
            way = "" if is_all else ", or leave such rows out with `skip_bad_rows`"
            raise DataError(f"{rule}: {table.name}, {word} {places[0]}: {show(0)}{more}: {remedy}{way}")
        first = tuple(f"{word} {position}: {show(at)}" for at, position in enumerate(places[:_SHOWN]))
        self.rejected.append(Rejected(rule, table.name, len(places), first))

    def leave_out(self, rule: str, keys: Iterable[tuple[str, pd.Timestamp]]) -> None:
        """Take note of the asset and timestamp of rows that break a rule."""
        for asset_id, timestamp in keys:
            self._left_out.setdefault(asset_id, {})[timestamp] = rule

    def left_out_of(self, frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.Series]:
        """Return the rules by asset and timestamp, but for timestamps of which there is a fit row, too."""
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
    """Return a value as a file has it, on one line, however long it is."""
    if value is None or value == "":
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
