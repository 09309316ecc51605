"""Frozen copies of a study's rows, named by their content, which any process can read."""

import hashlib
import os
import posixpath
import re
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from kallos.errors import DataError
from kallos.storage import (
    IN_STORES,
    EntryFile,
    EntryFiles,
    Holdings,
    entries_of,
    open_entry_files,
    refuse_unclear_password,
    surplus,
)
from kallos.words import scrubbed

# A study that is planned is recorded within this time, and its snapshot is known to be needed.
_PLANNED_SECONDS = 3600
_OURS = re.compile(r"\.?[0-9a-f]{64}\.parquet(\.\S+)?")


def frame_sha256(frame: pd.DataFrame) -> str:
    """Return the hash of a frame's values, index, column names and dtypes, the same on every machine."""
    digest = hashlib.sha256()
    index = frame.index
    kind = "timestamps" if isinstance(index, pd.DatetimeIndex) else "integers"
    stamps = index.as_unit("ns").asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy(np.int64)
    digest.update(repr((kind, [(name, str(dtype)) for name, dtype in frame.dtypes.items()])).encode())
    digest.update(np.ascontiguousarray(stamps).tobytes())
    for name in frame.columns:
        digest.update(np.ascontiguousarray(frame[name].to_numpy()).tobytes())
    return digest.hexdigest()


def snapshot_address(content: str, folder: str) -> str:
    """Return where the snapshot of rows with this hash is, if it is there."""
    return posixpath.join(folder, f"{content}.parquet")


def write_snapshot(frame: pd.DataFrame, folder: str) -> str:
    """Write the frame as Parquet into a folder (an fsspec URL), if it is not there yet; return its address."""
    refuse_unclear_password(folder, IN_STORES, "the URL of a store")
    content = frame_sha256(frame)
    address = snapshot_address(content, folder)
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
        if filesystem.exists(path) and _holds(address, content):
            _mark_as_used(filesystem, path)
        else:
            _write(frame, filesystem, path)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(scrubbed(f"a snapshot of the rows must be writable in {folder}: {reason}")) from None
    return address


def snapshot_holdings(folder: str) -> Holdings:
    """Return how many snapshots a folder (or fsspec URL) holds, and what killed processes left unfinished."""
    return Holdings.of(_files(open_entry_files(folder, "*")))


def prune_snapshots(
    folder: str,
    *,
    needed: Collection[str] = (),
    written_before: float | None = None,
    max_bytes: int | None = None,
) -> Holdings:
    """Remove snapshots last planned on before a moment (seconds since the epoch), then the oldest beyond a size.

    Those of rows with a `needed` hash stay, and those of the last hour: somebody may be about to record a study on
    them. In an object store the age of a snapshot counts from when it was written. Returns what was removed.
    """
    store = open_entry_files(folder, "*")
    planned_on = time.time() - _PLANNED_SECONDS
    removed = [
        file
        for file in surplus(_files(store), written_before=written_before, max_bytes=max_bytes)
        if file.written < planned_on and file.name.partition(".")[0] not in needed
    ]
    for file in removed:
        store.remove(file.name)
    return Holdings.of(removed)


@lru_cache(maxsize=4)
def read_snapshot(address: str) -> pd.DataFrame:
    """Return a snapshot's frame. A process keeps the last few, so the frame must not be changed.

    Raises `OSError` if it cannot be read.
    """
    return _read(address)


def _holds(address: str, content: str) -> bool:
    """Return whether a snapshot can be read and is what its name says: a crash may have cut it off."""
    try:
        return frame_sha256(_read(address)) == content
    except OSError:
        return False


def _files(store: EntryFiles) -> list[EntryFile]:
    """Return the snapshots among the files of a folder, which may hold others."""
    return [file for file in entries_of(store) if _OURS.fullmatch(file.name)]


def _mark_as_used(filesystem: AbstractFileSystem, path: str) -> None:
    """Let a snapshot's age count from now; object stores know nothing but when it was written."""
    # Who reads another's folder may not be allowed to.
    with suppress(OSError):
        if isinstance(filesystem, LocalFileSystem):
            os.utime(path)


def _write(frame: pd.DataFrame, filesystem: AbstractFileSystem, path: str) -> None:
    folder, name = posixpath.split(path)
    filesystem.makedirs(folder, exist_ok=True)
    unfinished = posixpath.join(folder, f".{name}.{os.getpid()}-{uuid.uuid4().hex}")
    try:
        with filesystem.open(unfinished, "wb") as file:
            frame.to_parquet(file)
        if isinstance(filesystem, LocalFileSystem):
            Path(unfinished).replace(path)
        else:
            filesystem.mv(unfinished, path)
    except BaseException:
        with suppress(Exception):
            filesystem.rm(unfinished)
        raise


def _read(address: str) -> pd.DataFrame:
    try:
        with fsspec.open(address, "rb") as file:
            return pd.read_parquet(file)
    except Exception as error:  # As above.
        raise OSError(scrubbed(f"a snapshot must be readable: {address}: {error}")) from None
