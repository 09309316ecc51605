"""Reads columns of numbers, and finds text in them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kallos.errors import DataError
from kallos.features.files.faults import shortened
from kallos.features.files.layouts import MISSING
from kallos.features.files.sources import RawTable, is_text
from kallos.words import shorten

_DECIMAL_COMMA = r"[+-]?\d+,\d+"
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf(inity)?)$"


@dataclass(frozen=True)
class NumberRule:
    """The rule that a value which is not a number breaks, and the remedy for columns of text.

    `text_remedy` takes such columns as the wanted names to the file's own.
    """

    rule: str
    text_remedy: Callable[[Mapping[str, str]], str]


@dataclass(frozen=True)
class Numbers:
    """The numbers of columns (NaN if missing or text), a mask of the text, and the remedy for it."""

    values: pd.DataFrame
    words: pd.DataFrame
    remedy: str


def read_numbers(table: RawTable, chosen: Mapping[str, str], rule: NumberRule, *, decimal_comma: bool) -> Numbers:
    """Return the numbers of the columns chosen, which map the wanted names to the file's own.

    Raises `DataError` for columns of another type, or with text and not a single number.
    """
    columns: dict[str, np.ndarray] = {}
    at_fault: dict[str, np.ndarray] = {}
    for name, own in chosen.items():
        try:
            columns[name], at_fault[name] = _column_of_numbers(table.columns[own], decimal_comma=decimal_comma)
        except (TypeError, pa.ArrowException):
            raise DataError(
                f"{rule.rule}: column {own!r} of {table.name} holds {table.columns[own].type}; "
                f"{rule.text_remedy({name: own})}"
            ) from None
    values, words = pd.DataFrame(columns), pd.DataFrame(at_fault)
    firsts = {
        name: str(table.columns[chosen[name]][int(words[name].to_numpy().argmax())].as_py())
        for name in words.columns[words.any()]
    }
    text = {name: word for name, word in firsts.items() if values[name].isna().all()}
    if text:
        named = f"column{'s' * (len(text) > 1)} {shorten([repr(chosen[name]) for name in text])}"
        raise DataError(
            f"{rule.rule}: {named} of {table.name} hold{'s' * (len(text) == 1)} text such as "
            f"{shortened(next(iter(text.values())))}, and no number; {_remedy(text, chosen, rule)}"
        )
    return Numbers(values, words, f"correct it, {_remedy(firsts, chosen, rule)}" if firsts else "correct it")


def _remedy(words: Mapping[str, str], chosen: Mapping[str, str], rule: NumberRule) -> str:
    if any(re.fullmatch(_DECIMAL_COMMA, word.strip()) for word in words.values()):
        return "read commas as decimal points with `decimal_comma` (or remove them if they separate thousands)"
    return rule.text_remedy({name: chosen[name] for name in words})


def _column_of_numbers(column: pa.ChunkedArray, *, decimal_comma: bool) -> tuple[np.ndarray, np.ndarray]:
    kind = column.type
    if pa.types.is_decimal(kind):
        # Through text, a decimal becomes the nearest float, as from a CSV file.
        column = column.cast(pa.string())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        numbers = column.cast(pa.float64(), safe=False)
        return _plain(numbers), np.zeros(len(column), bool)
    elif not is_text(kind):
        raise TypeError(kind)
    text = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    if decimal_comma:
        # Doubling the points makes numbers with a decimal point invalid.
        text = pc.replace_substring(pc.replace_substring(text, ".", ".."), ",", ".")
    try:
        return _plain(text.cast(pa.float64())), np.zeros(len(text), bool)
    except pa.ArrowInvalid:
        pass
    missing = pc.is_in(pc.utf8_lower(text), pa.array([*MISSING, None], pa.large_string()))
    is_number = pc.match_substring_regex(text, _NUMBER, ignore_case=True).fill_null(False)
    numbers = pc.if_else(is_number, text, pa.scalar(None, pa.large_string())).cast(pa.float64())
    return _plain(numbers), ~np.asarray(pc.or_(missing, is_number).to_numpy(), bool)


def _plain(numbers: pa.ChunkedArray) -> np.ndarray:
    # SQLite does not keep the sign of zero, so nothing may depend on it.
    return np.asarray(numbers.fill_null(np.nan).to_numpy(), np.float64) + 0.0
