"""Faults of the frequency: gaps, rows off it, two of them in one table."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from kallos.checks.findings import Finding, first_few
from kallos.errors import DataError
from kallos.features.frequency import UNITS, Frequency, find_frequency, off_clock, shifted_rows, usual_step
from kallos.specs.data import DataSpec
from kallos.words import shorten


def examine_frequency(index: pd.Index, spec: DataSpec, findings: list[Finding]) -> Frequency | None:
    """Return the frequency of sorted, unique timestamps, or None where they keep to none, which is then found."""
    name = spec.timestamp_column
    try:
        found = find_frequency(index, spec.frequency)
    except DataError as error:
        refused = error
    else:
        findings += _off_their_day(index, found, name)
        return found
    if len(index) < 3:
        findings.append(Finding.of(refused, column=name))
        return None
    frequency = spec.frequency or usual_step(index)
    change = None if spec.frequency else _change_of_frequency(index)
    if change is not None:
        before, after = (pd.Timedelta(step) for step in change[1:])
        findings.append(
            Finding(
                "mixed-frequency",
                f"rows must keep to one frequency, and theirs changes at {change[0]}: {before} apart before, {after} "
                f"behind",
                "take the rows of one frequency by `start_date` or `end_date`, or bring all to the longer one",
                column=name,
                timestamps=(str(change[0]),),
            )
        )
        return None
    findings += [Finding.of(error, column=name) for error in off_clock(index, frequency)]
    return None


def _off_their_day(index: pd.Index, frequency: Frequency, name: str) -> Iterator[Finding]:
    """Yield the bars of weeks and the like that are stamped on another day than most, as where that is a holiday."""
    if frequency.unit is None or not len(shifted := shifted_rows(index, frequency)):
        return
    yield Finding(
        "shifted-rows",
        f"each {UNITS[frequency.unit]} has one row, stamped as {frequency.step} but for {len(shifted)} of "
        f"{len(index)}: {shorten(shifted)}",
        "leave them where the usual day was a holiday, or else correct them",
        column=name,
        timestamps=first_few(shifted),
    )


def _change_of_frequency(index: pd.DatetimeIndex) -> tuple[pd.Timestamp, Any, Any] | None:
    """Return where a whole part of the rows begins that keeps to another step, with the steps before and behind."""
    steps = pd.Series(np.diff(index.asi8))
    runs = steps.ne(steps.shift()).cumsum()
    lengths = runs.value_counts(sort=False)
    long = lengths[lengths >= max(5, len(steps) // 20)]
    firsts = [int((runs == run).idxmax()) for run in long.index[:20]]
    if len({int(steps[first]) for first in firsts}) < 2:
        return None
    before, after = next((one, other) for one, other in pairwise(firsts) if steps[one] != steps[other])
    return index[after], int(steps[before]), int(steps[after])
