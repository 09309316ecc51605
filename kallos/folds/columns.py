"""A study's columns and rows, and their normalisation by feature group, fitted on training rows alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from kallos.errors import DataError, refuse, require, require_one_of
from kallos.folds.grid import Fold
from kallos.folds.rows import require_columns, require_rows
from kallos.folds.scalers import Preparation, PreparedSeries
from kallos.specs.data import FeatureSpec
from kallos.words import did_you_mean, pasteable, shorten

# Kinds of NumPy types that a column of features may have.
NUMBERS = "iuf"
GROUPS = ("volume", "bounded", "unbounded", "rate_of_change", "log_return", "other")
_FIELDS_OF_PATTERNS = ("columns", "known_future", "exclude", *GROUPS[:-1])
_DEFAULT_PATTERNS = frozenset(
    pattern for field in _FIELDS_OF_PATTERNS for pattern in FeatureSpec.model_fields[field].default
)


@dataclass(frozen=True)
class PreparedFold(PreparedSeries):
    """The normalised series of one fold, on a `RangeIndex` that counts from its first training row."""

    fold: Fold


def group_columns(columns: pd.Index, features: FeatureSpec) -> dict[str, list[str]]:
    """Return the covariates of each feature group, in the order of a study's columns; groups may be empty.

    `columns` are those that `study_columns` has chosen: what a pattern fits is settled in sight of all columns.
    """
    grouped: dict[str, list[str]] = {group: [] for group in GROUPS}
    fitting = {group: set(fitting_columns(columns, getattr(features, group))) for group in GROUPS[:-1]}
    for name in columns:
        if name not in features.targets:
            grouped[next((group for group, names in fitting.items() if name in names), "other")].append(name)
    return grouped


def study_frame(frame: pd.DataFrame, features: FeatureSpec, *, fill: str = "none") -> pd.DataFrame:
    """Return the columns that a study uses, the target first and stamped when known, all float64 and finite.

    Raises `DataError` naming what is missing, not a number, or not finite, or for rows that are not sorted and unique,
    or have a time zone.
    """
    require_rows(frame=frame)
    require_columns(frame=frame)
    require(FeatureSpec, features=features)
    require_one_of(("none", "forward"), fill=fill)
    chosen = columns_of_numbers(frame, features)
    refuse_long_label(len(chosen), features)
    numbers = timestamp_when_known(chosen, features, fill=fill)
    _refuse_unfit_values(numbers, features, fill)
    return numbers


def refuse_long_label(n_rows: int, features: FeatureSpec) -> None:
    """Raise `DataError` if a label looks beyond so many rows."""
    if features.label_horizon >= n_rows:
        raise DataError(
            f"a label must look ahead by less than the {n_rows} rows: not {features.label_horizon}",
            "give a shorter `label_horizon`, or bring more rows",
            fault="long-label-horizon",
            parameter="label_horizon",
        )


def columns_of_numbers(frame: pd.DataFrame, features: FeatureSpec) -> pd.DataFrame:
    """Return the columns that a study uses, the target first, as they were loaded.

    Raises `DataError` naming what is missing or not a number.
    """
    refuse(unknown_columns(frame.columns, features))
    chosen = frame[study_columns(frame.columns, features)]
    words = [
        f"{pasteable(name)} ({_kind_of(chosen[name])})"
        for name, dtype in chosen.dtypes.items()
        if dtype.kind not in NUMBERS
    ]
    if words:
        raise DataError(
            f"features must be numbers, and {len(words)} of {len(chosen.columns)} columns are not: {shorten(words)}; "
            f"encode them as numbers (0/1) in a view or query, or name them in 'exclude'"
        )
    return chosen


def study_columns(columns: pd.Index, features: FeatureSpec) -> list[str]:
    """Return the columns that a study uses, the target first."""
    targets = features.targets
    left_out = {*targets, *fitting_columns(columns, features.exclude)}
    return [*targets, *(name for name in fitting_columns(columns, features.columns) if name not in left_out)]


def timestamp_when_known(chosen: pd.DataFrame, features: FeatureSpec, *, fill: str = "none") -> pd.DataFrame:
    """Return numbers as float64, the target moved down to where it is known, less the rows in which it never is."""
    # Adding zero makes one zero of two: databases do not keep its sign, and the content's hash must not see it.
    numbers = chosen.astype(np.float64) + 0.0
    if fill == "forward":
        numbers = numbers.ffill()
    for target in features.targets:
        numbers[target] = numbers[target].shift(features.label_horizon)
    return numbers.iloc[features.label_horizon :]


def prepare_fold(
    frame: pd.DataFrame, fold: Fold, features: FeatureSpec, *, fit_rows: int | None = None
) -> PreparedFold:
    """Return the normalised series of one fold; see `kallos.datasets.prepare_darts_timeseries`."""
    rows = frame.iloc[fold.rows]
    shifted = fold.shifted()
    n_fit = shifted.train_stop if fit_rows is None else fit_rows
    prepared = fit_preparation(rows.iloc[:n_fit], features).apply(rows)
    return PreparedFold(prepared.target, prepared.past_covariates, prepared.preparation, fold=shifted)


def fit_preparation(rows: pd.DataFrame, features: FeatureSpec) -> Preparation:
    """Return what training rows say of the target and of the columns of each feature group.

    Raises `FitError` if the target is constant over them.
    """
    return Preparation.fit(rows, features, group_columns(rows.columns, features))


def _kind_of(column: pd.Series) -> str:
    inferred: str = pd.api.types.infer_dtype(column, skipna=True)
    words = {"string": "text", "datetime64": "dates", "datetime": "dates", "date": "dates", "mixed-integer": "mixed"}
    return words.get(inferred, inferred)


def fitting_columns(columns: pd.Index, patterns: tuple[str, ...]) -> list[str]:
    """Return the columns whose names fit one of these patterns, in their order.

    A pattern that is itself the name of a column stands for that column alone; those of the defaults, which nobody has
    written down for these columns, are always patterns.
    """
    exact = set(patterns).intersection(columns) - _DEFAULT_PATTERNS
    others = [pattern for pattern in patterns if pattern not in exact]
    return [name for name in columns if name in exact or any(fnmatchcase(name, pattern) for pattern in others)]


def unknown_columns(columns: pd.Index, features: FeatureSpec) -> Iterator[DataError]:
    """Yield each target that is no column, and each of the user's patterns that fits none.

    Such a pattern is a typo: what it was to leave out would be learnt from.
    """
    for target in features.targets:
        if target not in columns:
            yield DataError(
                f"the target {target!r} is not a column: {did_you_mean(target, columns)}",
                "name another as `target`",
                fault="missing-target",
                column=target,
                parameter="target",
            )
    for field in _FIELDS_OF_PATTERNS:
        for pattern in getattr(features, field):
            if pattern not in FeatureSpec.model_fields[field].default and not fitting_columns(columns, (pattern,)):
                yield DataError(
                    f"every pattern must fit a column: {pattern!r} in '{field}' fits none",
                    did_you_mean(pattern, columns),
                    fault="idle-pattern",
                    parameter=field,
                )


def _refuse_unfit_values(numbers: pd.DataFrame, features: FeatureSpec, fill: str) -> None:
    unfit = ~np.isfinite(numbers)
    at_fault = [_places(numbers.index[unfit[name]], name) for name in numbers.columns if unfit[name].any()]
    if at_fault:
        remedy = "correct them" if fill == "forward" else "correct them, or give `fill` forward for missing ones"
        raise DataError(
            f"features must be finite, and {len(at_fault)} of {len(numbers.columns)} columns are not: "
            f"{shorten(at_fault, 3)}; {remedy}, or name the columns in 'exclude'"
        )
    refuse(negative_volumes(numbers, features))


def negative_volumes(numbers: pd.DataFrame, features: FeatureSpec) -> Iterator[DataError]:
    """Yield each column of group `volume` that has negative values."""
    for name in group_columns(numbers.columns, features)["volume"]:
        negative = numbers.index[numbers[name] < 0]
        if len(negative):
            yield DataError(
                f"features of group 'volume' must not be negative: {_places(negative, name)}",
                "correct them, or give the column another group",
                fault="negative-volume",
                column=name,
                timestamps=negative,
            )


def _places(index: pd.Index, name: str) -> str:
    return f"{pasteable(name)} at {len(index)} rows, first {index[0]}"
