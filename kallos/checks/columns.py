"""Faults of column names and types."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from kallos.baselines.simple import no_such_column
from kallos.checks.findings import Finding, first_few
from kallos.features.calendar import NEEDS_TIMESTAMPS
from kallos.folds.columns import NUMBERS, study_columns, unknown_columns
from kallos.folds.derived import derived_names
from kallos.specs.baselines import kind_and_column
from kallos.specs.data import FeatureSpec
from kallos.specs.study import TuneSpec
from kallos.words import counted, did_you_mean, pasteable, shorten

# Larger whole numbers lose digits as float64.
_EXACT = 2**53
# Prepared values are float32.
_LARGEST = float(np.finfo(np.float32).max)


def with_distinct_names(rows: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    """Return rows whose column names are distinct text; of columns with the same name, the first is kept."""
    names = pd.Index([each if isinstance(each, str) else str(each) for each in rows.columns], dtype=object)
    rows = rows.set_axis(names, axis=1)
    twice = names[names.duplicated()].unique()
    findings += [
        Finding(
            "colliding-columns",
            f"column names must be unique, and {int((names == name).sum())} columns are called {name!r}",
            "rename all but one of them in the table, view or query",
            column=name,
        )
        for name in twice
    ]
    rows = rows.loc[:, ~names.duplicated()]
    folded = pd.Series(rows.columns, dtype=object).groupby([name.strip().casefold() for name in rows.columns])
    for _, alike in folded:
        if len(alike) > 1:
            findings.append(
                Finding(
                    "similar-column-names",
                    f"columns {shorten([repr(name) for name in alike])} differ only in case or blanks",
                    "check that you want both, or name one in 'exclude'",
                    column=alike.iloc[-1],
                )
            )
    return rows


def chosen_columns(frame: pd.DataFrame, features: FeatureSpec, findings: list[Finding]) -> pd.DataFrame:
    """Return the columns that a study uses, the target first."""
    findings += map(Finding.of, unknown_columns(frame.columns, features))
    return frame[[name for name in study_columns(frame.columns, features) if name in frame.columns]]


def unfit_for_study(chosen: pd.DataFrame, spec: TuneSpec) -> Iterator[Finding]:
    """Yield what the study asks of the rows and their columns that these cannot give: a calendar, and baselines."""
    columns = [*chosen.columns, *derived_names(chosen.columns, spec.features)]
    for name in spec.baselines:
        _, column = kind_and_column(name)
        if column is not None and column not in columns:
            yield Finding("idle-pattern", no_such_column(column), did_you_mean(column, columns), parameter="baselines")
    if spec.features.calendar and len(chosen) and not isinstance(chosen.index, pd.DatetimeIndex):
        yield Finding("idle-pattern", NEEDS_TIMESTAMPS, "leave it out", parameter="calendar")


def as_numbers(chosen: pd.DataFrame, spec: TuneSpec, findings: list[Finding], *, n_labels: int) -> pd.DataFrame:
    """Return the columns as float64, without those that are not numbers; infinite values stay.

    Only the first `n_labels` values of a target are examined; the others are missing in the result.
    """
    numbers: dict[str, pd.Series] = {}
    for name in chosen.columns:
        column = chosen[name].iloc[:n_labels] if name in spec.features.targets else chosen[name]
        if column.isna().all():
            findings.append(
                Finding(
                    "empty-column",
                    f"columns must hold values, and {pasteable(name)} holds none in {counted(len(column), 'row')}",
                    _left_out(name, spec),
                    column=name,
                )
            )
            continue
        if column.dtype.kind in NUMBERS:
            values = pd.Series(column.to_numpy(np.float64, na_value=np.nan), index=column.index)
            findings += _beyond_floats(column, values, name, spec)
            numbers[name] = values
        else:
            finding, repaired = _not_numbers(column, name, spec)
            findings.append(finding)
            if repaired is not None:
                numbers[name] = repaired
    return pd.DataFrame(numbers, index=chosen.index)


def _left_out(name: str, spec: TuneSpec) -> str:
    return "choose another `target`" if name in spec.features.targets else "name it in 'exclude'"


def _beyond_floats(column: pd.Series, values: pd.Series, name: str, spec: TuneSpec) -> Iterator[Finding]:
    sizes = values.abs()
    large = column.index[np.isfinite(values) & (sizes > _LARGEST)]
    if len(large):
        yield Finding(
            "float-overflow",
            f"values must fit float32, and {pasteable(name)} has {len(large)} beyond {_LARGEST:.2g}, first at "
            f"{large[0]}",
            f"correct them, or {_left_out(name, spec)}",
            column=name,
            timestamps=first_few(large),
        )
    if column.dtype.kind in "iu":
        inexact = column.index[np.asarray(sizes > _EXACT)]
        if len(inexact):
            yield Finding(
                "imprecise-integers",
                f"whole numbers beyond 2^53 lose their last digits, and {pasteable(name)} has {len(inexact)}, first at "
                f"{inexact[0]}: identifiers are not features",
                f"{_left_out(name, spec)}, or scale it down",
                column=name,
                timestamps=first_few(inexact),
            )


def _not_numbers(column: pd.Series, name: str, spec: TuneSpec) -> tuple[Finding, pd.Series | None]:
    """Return what is wrong with a column that does not hold numbers, and its numbers if it can be read as some."""
    kind = column.dtype.kind
    known = column.dropna()
    kinds = {type(each) for each in known} if kind == "O" else set()
    remedy = _left_out(name, spec)
    timestamps = first_few(known.index)
    if kind == "b" or kinds == {bool}:
        finding = Finding(
            "boolean-column",
            f"features must be numbers, and {pasteable(name)} is boolean",
            f"cast it to 0 and 1 in a view or query, or {remedy}",
            column=name,
            timestamps=timestamps,
        )
        return finding, column.map(lambda each: float(bool(each)), na_action="ignore").astype(np.float64)
    if kinds == {int}:
        finding = Finding(
            "integer-overflow",
            f"whole numbers must fit 64 bits, and those of {pasteable(name)} do not",
            remedy,
            column=name,
            timestamps=first_few(known.index[np.array([abs(each) >= 2**63 for each in known], dtype=bool)]),
        )
        return finding, _read_as_numbers(column)
    words = np.array([isinstance(each, str) for each in known], dtype=bool)
    word = str(next((each for each in known if isinstance(each, str)), known.iloc[0]))[:30]
    if (kinds <= {str, int, float} and words.any()) or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype):
        are_digits = bool(known.astype(object).map(_number).notna().all())
        finding = Finding(
            "text-column",
            f"features must be numbers, and {pasteable(name)} holds text such as {word!r}",
            f"{'cast it to' if are_digits else 'encode it as'} numbers in a view or query, or {remedy}",
            column=name,
            timestamps=first_few(known.index[words]) if words.any() else timestamps,
        )
        return finding, _read_as_numbers(column)
    what = "decimals" if kinds == {Decimal} else shorten(sorted(each.__name__ for each in kinds) or [column.dtype])
    odd = known.index if len(kinds) < 2 else known.index[[not isinstance(each, int | float) for each in known]]
    finding = Finding(
        "object-column",
        f"features must be numbers, and {pasteable(name)} holds {what}",
        f"cast it to numbers in a view or query, or {remedy}",
        column=name,
        timestamps=first_few(odd if len(odd) else known.index),
    )
    return finding, _read_as_numbers(column)


def _read_as_numbers(column: pd.Series) -> pd.Series | None:
    """Return a column's numbers if nearly all of its values are numbers, so that later checks can examine them."""
    known = column.dropna()
    values = known.astype(object).map(_number).astype(np.float64)
    if values.isna().mean() > 0.1:
        return None
    # Values that are not numbers have been reported, and must not count as missing too.
    return values.reindex(column.index).where(column.isna(), values.reindex(column.index).ffill().bfill())


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, str | int | float | Decimal | np.number) else float("nan")
    except (ValueError, OverflowError, ArithmeticError):
        return float("nan")
