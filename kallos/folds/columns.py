"""A study's columns and rows, and their normalisation by feature group, fitted on training rows only."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

import numpy as np
import pandas as pd

from kallos.architectures import Widths
from kallos.errors import DataError, refuse, require, require_one_of
from kallos.folds.cut import Fold
from kallos.folds.derived import derived_names, names_in_logarithms, sources_of, unfit_derived, with_derived
from kallos.folds.rows import require_columns, require_rows
from kallos.folds.scalers import Preparation, PreparedSeries
from kallos.specs.calendar import calendar_names
from kallos.specs.data import FeatureSpec
from kallos.words import did_you_mean, pasteable, shorten

# NumPy kinds of a column of features.
NUMBERS = "iuf"
GROUPS = ("volume", "bounded", "unbounded", "rate_of_change", "log_return", "volatility", "other")
_FIELDS_OF_PATTERNS = ("columns", "known_future", "known_now", "exclude", *GROUPS[:-1])
_DEFAULT_PATTERNS = frozenset(
    pattern for field in _FIELDS_OF_PATTERNS for pattern in FeatureSpec.model_fields[field].default
)


@dataclass(frozen=True)
class PreparedFold(PreparedSeries):
    """The normalised series of one fold, on a `RangeIndex` from its first training row."""

    fold: Fold


def group_columns(columns: pd.Index, features: FeatureSpec) -> dict[str, list[str]]:
    """Return the covariates of each feature group, in the order of `columns`; groups may be empty.

    `columns` are those of `study_columns`, since patterns are resolved against all of a study's columns.
    """
    grouped: dict[str, list[str]] = {group: [] for group in GROUPS}
    # A logarithm may be negative, whatever group the name fits.
    in_logarithms = names_in_logarithms(columns, features)
    fitting = {group: set(fitting_columns(columns, getattr(features, group))) - in_logarithms for group in GROUPS[:-1]}
    for name in columns:
        if name not in features.targets:
            grouped[next((group for group, names in fitting.items() if name in names), "other")].append(name)
    return grouped


def known_columns(columns: pd.Index, features: FeatureSpec) -> list[str]:
    """Return the columns of `study_frame` whose later values are known ahead, in the order of `columns`."""
    known = {*calendar_names(features.calendar), *fitting_columns(columns, features.known_future)}
    return [name for name in columns if name in known and name not in features.targets]


def at_origins(rows: pd.DataFrame, features: FeatureSpec, ahead: int) -> pd.DataFrame:
    """Return the rows with each column as it is read at an origin: known columns are those of `ahead` rows later."""
    known = known_columns(rows.columns, features)
    if not known:
        return rows
    # The last rows are read at no origin.
    return rows.assign(**{name: rows[name].shift(-ahead) for name in known}).iloc[: max(len(rows) - ahead, 0)]


def widths_of_columns(columns: pd.Index, features: FeatureSpec) -> Widths:
    """Return how many columns of `study_frame` a model sees, if no principal components replace them."""
    known, added = set(known_columns(columns, features)), sources_of(columns, features)
    past = [name for group in group_columns(columns, features).values() for name in group if name not in known]
    places = tuple(place for place, name in enumerate(past) if name in added)
    return Widths(len(features.targets), len(past), len(known), places)


def observed_rows(rows: pd.DataFrame, features: FeatureSpec, *beside: str) -> pd.DataFrame:
    """Return the rows that hold more than columns whose later values are known ahead; `beside` are no features."""
    if not features.known_future:
        return rows
    known = {*fitting_columns(rows.columns, features.known_future), *beside} - set(features.targets)
    used = [name for name in study_columns(rows.columns, features) if name in rows.columns and name not in known]
    has_others = rows[used].notna().any(axis=1)
    # Rows that stay as they are keep the frequency of their index.
    return rows if has_others.all() else rows[has_others]


def study_frame(
    frame: pd.DataFrame,
    features: FeatureSpec,
    *,
    fill: str = "none",
    frequency: str | None = None,
    market: str | None = None,
) -> pd.DataFrame:
    """Return a study's columns as finite float64, the targets first and shifted to when they are known.

    The columns that the study adds come last; `frequency` is the study's, detected by default, and `market` its
    exchange. Rows that hold nothing but columns that are known ahead are left out. Raises `DataError` for columns that
    are missing, not numbers, or not finite, and for rows that are not sorted and unique, or have a time zone.
    """
    require_rows(frame=frame)
    require_columns(frame=frame)
    require(FeatureSpec, features=features)
    require_one_of(("none", "forward"), fill=fill)
    require((str, type(None)), frequency=frequency, market=market)
    chosen = columns_of_numbers(observed_rows(frame, features), features)
    refuse_long_label(len(chosen), features)
    numbers = shift_to_when_known(chosen, features, fill=fill)
    _refuse_unfit_values(numbers, features, fill)
    return with_derived(numbers, features, frequency, market)


def refuse_long_label(n_rows: int, features: FeatureSpec) -> None:
    """Raise `DataError` if a label looks ahead by as many rows as there are."""
    if features.label_horizon >= n_rows:
        raise DataError(
            f"`label_horizon` must be less than the number of rows: it is {features.label_horizon}, and there are "
            f"{n_rows} rows",
            "reduce it, or bring more rows",
            fault="long-label-horizon",
            parameter="label_horizon",
        )


def columns_of_numbers(frame: pd.DataFrame, features: FeatureSpec) -> pd.DataFrame:
    """Return the columns that a study uses as loaded; raises `DataError` if one is missing or not numeric."""
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
            f"encode them as numbers (0/1) in a view or query, or add them to 'exclude'"
        )
    return chosen


def study_columns(columns: pd.Index, features: FeatureSpec) -> list[str]:
    """Return the names of the columns that a study uses, target first."""
    targets = features.targets
    left_out = {*targets, *fitting_columns(columns, features.exclude)}
    return [*targets, *(name for name in fitting_columns(columns, features.columns) if name not in left_out)]


def shift_to_when_known(chosen: pd.DataFrame, features: FeatureSpec, *, fill: str = "none") -> pd.DataFrame:
    """Return float64 columns with the target shifted to when it is known, without the rows that then lack it."""
    # Adding zero turns -0.0 into 0.0: databases do not keep the sign, and the content's hash must not depend on it.
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
    return PreparedFold(**vars(prepared), fold=shifted)


def fit_preparation(rows: pd.DataFrame, features: FeatureSpec) -> Preparation:
    """Fit the scales of the target and the feature groups; raises `FitError` if the target is constant."""
    groups = group_columns(rows.columns, features)
    return Preparation.fit(rows, features, groups, known_columns(rows.columns, features))


def _kind_of(column: pd.Series) -> str:
    inferred: str = pd.api.types.infer_dtype(column, skipna=True)
    words = {"string": "text", "datetime64": "dates", "datetime": "dates", "date": "dates", "mixed-integer": "mixed"}
    return words.get(inferred, inferred)


def fitting_columns(columns: pd.Index, patterns: tuple[str, ...]) -> list[str]:
    """Return the columns that match one of the patterns, in the order of `columns`.

    A pattern that is exactly the name of a column matches only that column, except for the default patterns.
    """
    exact = set(patterns).intersection(columns) - _DEFAULT_PATTERNS
    others = [pattern for pattern in patterns if pattern not in exact]
    return [name for name in columns if name in exact or any(fnmatchcase(name, pattern) for pattern in others)]


def unknown_columns(columns: pd.Index, features: FeatureSpec) -> Iterator[DataError]:
    """Yield an error for each target that is not a column, and for each of the user's patterns that matches none.

    Such a pattern is a typo, and the model would learn from a column that it should exclude.
    """
    for target in features.targets:
        if target not in columns:
            yield DataError(
                f"the target {target!r} is not a column: {did_you_mean(target, columns)}",
                "give another `target`",
                fault="missing-target",
                column=target,
                parameter="target",
            )
        elif fitting_columns(pd.Index([target]), features.known_future):
            yield DataError(
                f"a target is not known ahead, and 'known_future' names {pasteable(target)}",
                "remove it there",
                fault="idle-pattern",
                column=target,
                parameter="known_future",
            )
    yield from unfit_derived(columns, study_columns(columns, features), features)
    every = columns.append(pd.Index(derived_names(columns, features)))
    for field in _FIELDS_OF_PATTERNS:
        searched = every if field in GROUPS else columns
        for pattern in getattr(features, field):
            if pattern not in FeatureSpec.model_fields[field].default and not fitting_columns(searched, (pattern,)):
                yield DataError(
                    f"every pattern must match a column: {pattern!r} in '{field}' matches none",
                    did_you_mean(pattern, columns),
                    fault="idle-pattern",
                    parameter=field,
                )


def _refuse_unfit_values(numbers: pd.DataFrame, features: FeatureSpec, fill: str) -> None:
    unfit = ~np.isfinite(numbers)
    at_fault = [_places(numbers.index[unfit[name]], name) for name in numbers.columns if unfit[name].any()]
    if at_fault:
        fills = "" if fill == "forward" else ", or give `fill` forward for missing ones"
        raise DataError(
            f"features must be finite, and {len(at_fault)} of {len(numbers.columns)} columns are not: "
            f"{shorten(at_fault, 3)}; correct them{fills}, or add the columns to 'exclude'"
        )
    refuse(chain(negative_values(numbers, features), without_logarithm(numbers, features)))


def negative_values(numbers: pd.DataFrame, features: FeatureSpec) -> Iterator[DataError]:
    """Yield an error for each covariate that is normalised by its logarithm and has values below zero."""
    grouped = group_columns(numbers.columns, features)
    for group in ("volume", "volatility"):
        for name in grouped[group]:
            negative = numbers.index[numbers[name] < 0]
            if len(negative):
                yield DataError(
                    f"features of group {group!r} must not be negative: {_places(negative, name)}",
                    "correct them, or put the column into another group",
                    fault=f"negative-{group}",
                    column=name,
                    timestamps=negative,
                )


def without_logarithm(numbers: pd.DataFrame, features: FeatureSpec) -> Iterator[DataError]:
    """Yield an error for each target that is trained on in logarithms and has values that are not above zero."""
    for name in numbers.columns.intersection(features.targets) if features.target_transform == "log" else ():
        unfit = numbers.index[numbers[name] <= 0]
        if len(unfit):
            yield DataError(
                f"a target must be above zero for `target_transform` log: {_places(unfit, name)}",
                "correct these rows, or set `target_transform` to none",
                fault="no-logarithm",
                column=name,
                timestamps=unfit,
            )


def _places(index: pd.Index, name: str) -> str:
    return f"{pasteable(name)} at {len(index)} rows, first {index[0]}"
