"""Reads a result of any length into one frame in chunks, with little more memory than the frame needs."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from sqlalchemy import Result

OnRows = Callable[[int], None]
CHUNK_ROWS = 20_000


def frame_of(result: Result[Any], on_rows: OnRows | None = None) -> pd.DataFrame:
    """Return all rows of a streamed result; `on_rows` is called after each chunk with the number of rows so far."""
    names = list(result.keys())
    columns: list[list[pd.Series]] = [[] for _ in names]
    n_rows = 0
    for rows in result.yield_per(CHUNK_ROWS).partitions():
        chunk = pd.DataFrame.from_records(rows, columns=range(len(names)), coerce_float=True)
        chunk.index = pd.RangeIndex(n_rows, n_rows + len(chunk))
        n_rows += len(chunk)
        for position, pieces in enumerate(columns):
            # A copy can be freed when its column is joined, before the other columns of the chunk.
            pieces.append(chunk[position].copy())
        if on_rows is not None:
            on_rows(n_rows)
    joined: dict[int, pd.Series] = {}
    for position in range(len(names)):
        joined[position] = _joined(columns[position], n_rows)
        columns[position] = []
    frame = pd.DataFrame(joined, index=pd.RangeIndex(n_rows), columns=range(len(names)), copy=False)
    return frame.set_axis(names, axis=1)


def _joined(pieces: list[pd.Series], n_rows: int) -> pd.Series:
    # An all-empty piece must not decide the column's type.
    typed = [piece for piece in pieces if piece.dtype != object or piece.notna().any()]
    if not typed:
        return pd.Series(None, index=pd.RangeIndex(n_rows), dtype=object)
    return pd.concat(typed) if len(typed) == len(pieces) else pd.concat(typed).reindex(pd.RangeIndex(n_rows))
