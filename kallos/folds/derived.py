"""Columns that a study adds to its rows: means, lags and the calendar, each of a row and of earlier ones alone."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.features.calendar import calendar_columns
from kallos.features.frequency import find_frequency
from kallos.specs.calendar import calendar_names
from kallos.specs.data import FeatureSpec
from kallos.words import did_you_mean, pasteable

Array = npt.NDArray[np.float64]

# In `means` and `lags`, the name of each target.
TARGET = "target"


def reach(features: FeatureSpec) -> int:
    """Return how many rows before a row the columns that the study adds are computed from."""
    lengths = [
        *(length - 1 for each in features.means.values() for length in each),
        *(length for each in features.lags.values() for length in each),
    ]
    return max(lengths, default=0)


def names_in_logarithms(columns: pd.Index, features: FeatureSpec) -> set[str]:
    """Return the names of the added columns that are of a target's logarithm."""
    return {name for name, source, _ in _rules(columns, features) if _is_in_logs(source, features)}


def derived_names(columns: pd.Index, features: FeatureSpec) -> list[str]:
    """Return the names of the columns that a study adds to these; they depend on no value."""
    return [*(name for name, _, _ in _rules(columns, features)), *calendar_names(features.calendar)]


def sources_of(columns: pd.Index, features: FeatureSpec) -> dict[str, str]:
    """Return the column that each added mean and lag is computed from; the calendar is computed from none."""
    return {name: source for name, source, _ in _rules(columns, features)}


def with_derived(
    numbers: pd.DataFrame, features: FeatureSpec, frequency: str | None = None, market: str | None = None
) -> pd.DataFrame:
    """Return the columns with those that the study adds, in float64.

    The mean over the last n rows is over as many as there are, and the lag before the first row is the first value, so
    that no row is lost. Those of a target that is trained on in logarithms are of its logarithm. `frequency` is that of
    the study, detected by default, and `market` its exchange.
    """
    added = {}
    for name, source, compute in _rules(numbers.columns, features):
        values = numbers[source].to_numpy(np.float64)
        added[name] = compute(np.log(values) if _is_in_logs(source, features) else values)
    derived = pd.DataFrame(added, index=numbers.index, columns=list(added))
    return pd.concat([numbers, derived, known_calendar(numbers.index, features, frequency, market)], axis=1)


def known_calendar(
    index: pd.Index, features: FeatureSpec, frequency: str | None = None, market: str | None = None
) -> pd.DataFrame:
    """Return the calendar's columns of these rows; raises `UsageError` if they have no timestamps."""
    if not features.calendar:
        return pd.DataFrame(index=index)
    has_gaps = find_frequency(index, frequency).has_gaps
    return calendar_columns(index, features.calendar, has_gaps=has_gaps, market=market)


def unfit_derived(columns: pd.Index, used: list[str], features: FeatureSpec) -> Iterator[DataError]:
    """Yield an error for each column of `means` and `lags` that is not used, and for each name that a used one has."""
    for field in ("means", "lags"):
        for name in getattr(features, field):
            if name not in used and name != TARGET:
                yield DataError(
                    f"every name in '{field}' must be a column that the study uses, and {name!r} is not",
                    "do not exclude it" if name in columns else did_you_mean(name, [TARGET, *used]),
                    fault="idle-pattern",
                    parameter=field,
                )
    names = derived_names(columns, features)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield DataError(
            f"every column that the study adds must have a name of its own, and two would be {pasteable(name)}",
            "rename the target or the column in a view or query",
            fault="taken-name",
            column=name,
        )
    for name in names:
        if name in used:
            yield DataError(
                f"a column that the study adds must have a name of its own, and {pasteable(name)} is a column already",
                "name the table's column in 'exclude', or rename it in a view or query",
                fault="taken-name",
                column=name,
            )


def _rules(columns: pd.Index, features: FeatureSpec) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """Yield the name of each added column, the one it is computed from, and how."""
    tables: tuple[tuple[str, Mapping[str, tuple[int, ...]], Callable[..., Array]], ...] = (
        ("mean", features.means, _means),
        ("lag", features.lags, _lagged),
    )
    for kind, table, compute in tables:
        for given, lengths in table.items():
            for source in features.targets if given == TARGET and TARGET not in columns else (given,):
                label = f"log_{source}" if _is_in_logs(source, features) else source
                for length in lengths:
                    yield f"{label}_{kind}_{length}", source, partial(compute, length=length)


def _is_in_logs(source: str, features: FeatureSpec) -> bool:
    return features.target_transform == "log" and source in features.targets


def _means(values: Array, length: int) -> Array:
    """Return the mean of the last values up to each; each is summed anew, so that no error is carried on."""
    first = min(length - 1, len(values))
    shorter = [values[: row + 1].mean() for row in range(first)]
    whole = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1) if len(values) >= length else []
    return np.concatenate([shorter, whole])


def _lagged(values: Array, length: int) -> Array:
    lagged: Array = values[np.maximum(np.arange(len(values)) - length, 0)]
    return lagged
