"""Reads files of precomputed features: a timestamp, optionally an asset, and columns of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from kallos.errors import DataError, UsageError, require, require_each
from kallos.features.files.keys import own_name
from kallos.features.files.numbers import NumberRule
from kallos.features.files.rows import InputKind, InputReading, Inputs, UnfitValues, exclude_flag, read_rows
from kallos.features.files.sources import RawTable, Source
from kallos.words import shorten

_KEYS = ("asset_id", "timestamp")
# What pandas calls an unnamed index in Parquet files.
_NAMELESS_INDEX = "__index_level_"


def read_features(sources: Sequence[Source], reading: InputReading) -> Inputs:
    """Return the features of each asset in all inputs, as `kallos.features.files.rows.read_rows` does.

    All columns but the asset and the timestamp are features under their own names. Values may be missing, but not
    infinite.
    """
    require_each(Source, sources=sources)
    require(InputReading, reading=reading)
    kind = InputKind(
        _feature_columns,
        lambda values: [UnfitValues("features must be finite", np.isinf(values))],
        NumberRule(
            "features must be numbers",
            lambda columns: f"leave out other columns with {exclude_flag(list(columns.values()))}",
        ),
    )
    return read_rows(sources, reading, kind)


def _feature_columns(
    table: RawTable, by_folded: dict[str, str], taken: set[str], mapped: Mapping[str, str]
) -> dict[str, str]:
    own = {wanted: own_name(table, named, "`column`") for wanted, named in mapped.items()}
    replaced = {by_folded[wanted.lower()] for wanted in own if wanted.lower() in by_folded}
    others = [
        name
        for name in table.columns
        if name not in taken | replaced | set(own.values()) and not name.startswith(_NAMELESS_INDEX)
    ]
    if "" in others:
        raise DataError(
            f"every column must have a name, and one of {table.name} has none; name it, or leave it out with "
            f"{exclude_flag([''])}"
        )
    columns = {**{name: name for name in others}, **own}
    if not columns:
        raise DataError(
            f"features need at least one column of numbers: {table.name} has {shorten(list(table.columns), 12)}"
        )
    keys = [name for name in columns if name.lower() in _KEYS]
    if keys:
        raise UsageError(
            f"a feature must not be named {keys[0]!r} like a key of the table; rename it with `column`, or name the "
            f"keys of {table.name} as `asset_column` and `timestamp_column`"
        )
    return columns
