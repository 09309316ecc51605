"""Frozen copies of a study's rows, named by a hash of their content, which any process can read."""

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
import pandas as pd

from kallos.errors import StorageError
from kallos.storage import Folder, Holdings, StoredFile, split_address, surplus
from kallos.words import scrubbed

_WHAT = "a snapshot"

# Within this time a planned study is recorded, which protects its snapshot.
_PLANNED_SECONDS = 3600
_OURS = re.compile(r"\.?[0-9a-f]{64}\.parquet(\.\S+)?")


def frame_sha256(frame: pd.DataFrame) -> str:
    """Hash a frame's values, index, column names and dtypes, with the same result on every machine."""
    digest = hashlib.sha256()
    index = frame.index
    kind = "timestamps" if isinstance(index, pd.DatetimeIndex) else "integers"
    timestamps = index.as_unit("ns").asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy(np.int64)
    digest.update(repr((kind, [(name, str(dtype)) for name, dtype in frame.dtypes.items()])).encode())
    digest.update(np.ascontiguousarray(timestamps).tobytes())
    for name in frame.columns:
        digest.update(np.ascontiguousarray(frame[name].to_numpy()).tobytes())
    return digest.hexdigest()


def snapshot_address(content: str, folder: str) -> str:
    """Return the address of the snapshot with this hash, whether or not it exists."""
    return posixpath.join(folder, _name(content))


def write_snapshot(frame: pd.DataFrame, folder: str) -> str:
    """Write the frame as Parquet into a folder or fsspec URL, unless it is there already; return its address.

    Raises `StorageError` if the folder cannot be written.
    """
    content = frame_sha256(frame)
    store, name = Folder(folder, _WHAT), _name(content)
    if _holds(store, name, content):
        if store.local is not None:
            # An object store keeps only the time of writing, and the folder may be another user's.
            with suppress(OSError):
                os.utime(store.local / name)
    else:
        parquet = BytesIO()
        frame.to_parquet(parquet)
        store.write(name, parquet.getvalue())
    return snapshot_address(content, folder)


def snapshot_holdings(folder: str) -> Holdings:
    """Count the snapshots of a folder or fsspec URL, and the unfinished files of killed processes."""
    return Holdings.of(_snapshots(Folder(folder, _WHAT)))


def prune_snapshots(
    folder: str,
    *,
    needed: Collection[str] = (),
    written_before: float | None = None,
    max_bytes: int | None = None,
) -> Holdings:
    """Remove snapshots last used before a moment (seconds since the epoch), then the oldest beyond a total size.

    Snapshots with a `needed` hash stay, and so do those of the last hour, since a study on them may be about to be
    recorded. In an object store, last used means written. Returns what was removed.
    """
    store = Folder(folder, _WHAT)
    planned_on = time.time() - _PLANNED_SECONDS
    removed = [
        file
        for file in surplus(_snapshots(store), written_before=written_before, max_bytes=max_bytes)
        if file.written < planned_on and file.name.partition(".")[0] not in needed
    ]
    for file in removed:
        store.remove(file.name)
    return Holdings.of(removed)


@lru_cache(maxsize=4)
def read_snapshot(address: str) -> pd.DataFrame:
    """Return a snapshot's frame, which must not be changed, since it is cached; raises `StorageError`."""
    folder, name = split_address(address)
    return _read(Folder(folder, _WHAT), name)


def _name(content: str) -> str:
    return f"{content}.parquet"


def _holds(store: Folder, name: str, content: str) -> bool:
    """Return whether a snapshot exists, can be read, and has the hash of its name."""
    try:
        return frame_sha256(_read(store, name)) == content
    except StorageError:
        return False


def _snapshots(store: Folder) -> list[StoredFile]:
    """Return the snapshots in a folder, which may contain other files."""
    return [file for file in store.stored() if _OURS.fullmatch(file.name)]


def _read(store: Folder, name: str) -> pd.DataFrame:
    content = store.read(name)
    if content is None:
        raise StorageError(f"a snapshot must exist: there is no {store.address(name)}")
    try:
        return pd.read_parquet(BytesIO(content))
    except Exception as error:  # Each Parquet reader has its own errors for a damaged file.
        raise StorageError(scrubbed(f"a snapshot must be readable: {store.address(name)}: {error}")) from None
