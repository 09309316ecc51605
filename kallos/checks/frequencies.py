"""Faults of the frequency: gaps, irregular rows, or two frequencies in one table."""

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
    """Return the frequency of sorted, unique timestamps, or None, with a finding, if they have no regular one."""
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
                f"rows must have one frequency, and theirs changes at {change[0]} from {before} to {after}",
                "select the rows of one frequency with `start_date` or `end_date`, or resample all to the longer one",
                column=name,
                timestamps=(str(change[0]),),
            )
        )
        return None
    findings += [Finding.of(error, column=name) for error in off_clock(index, frequency)]
    return None


def _off_their_day(index: pd.Index, frequency: Frequency, name: str) -> Iterator[Finding]:
    """Yield the rows of weeks, months and so on that are not on the usual day, for example because of a holiday."""
    if frequency.unit is None or not len(shifted := shifted_rows(index, frequency)):
        return
    yield Finding(
        "shifted-rows",
        f"each {UNITS[frequency.unit]} has one row, and {len(shifted)} of {len(index)} are not on the usual day "
        f"({frequency.step}): {shorten(shifted)}",
        "ignore this if the usual day was a holiday, or else correct them",
        column=name,
        timestamps=first_few(shifted),
    )


def _change_of_frequency(index: pd.DatetimeIndex) -> tuple[pd.Timestamp, Any, Any] | None:
    """Return the first row of a part that has another step, and the steps before and after it."""
    steps = pd.Series(np.diff(index.asi8))
    runs = steps.ne(steps.shift()).cumsum()
    lengths = runs.value_counts(sort=False)
    long = lengths[lengths >= max(5, len(steps) // 20)]
    firsts = [int((runs == run).idxmax()) for run in long.index[:20]]
    if len({int(steps[first]) for first in firsts}) < 2:
        return None
    before, after = next((one, other) for one, other in pairwise(firsts) if steps[one] != steps[other])
    return index[after], int(steps[before]), int(steps[after])
