"""Rows that are unfit: the first refuses its file, or all are left out and told, each with its number in the file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kallos.errors import DataError, shorten
from kallos.input_files import RawTable

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

    Without `skip`, the first fault raises `DataError`; with it, faults are gathered in `rejected`.
    """

    def __init__(self, *, skip: bool) -> None:
        """Say whether unfit rows may be left out."""
        self._skip = skip
        self.rejected: list[Rejected] = []

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
            raise DataError(
                f"{rule}: {table.name}, {word} {places[0]}: {show(0)}{more}: {remedy}, "
                f"or leave such rows out with `skip_bad_rows`"
            )
        first = tuple(f"{word} {place}: {show(at)}" for at, place in enumerate(places[:_SHOWN]))
        self.rejected.append(Rejected(rule, table.name, len(places), first))


def shortened(value: object) -> str:
    """Return a value as a file has it, on one line, however long it is."""
    if value is None or value == "":
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
