"""Frozen copies of a study's rows, named by their content, which any process can read."""

import hashlib
import os
import posixpath
import uuid
from functools import lru_cache

import fsspec
import numpy as np
import pandas as pd

from kallos.errors import DataError, scrubbed


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
    content = frame_sha256(frame)
    address = snapshot_address(content, folder)
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
        if filesystem.exists(path) and _holds(address, content):
            return address
        filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
        unfinished = f"{path}.{os.getpid()}-{uuid.uuid4().hex}"
        with filesystem.open(unfinished, "wb") as file:
            frame.to_parquet(file)
        filesystem.mv(unfinished, path)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(scrubbed(f"a snapshot of the rows must be writable in {folder}: {reason}")) from None
    return address


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


def _read(address: str) -> pd.DataFrame:
    try:
        with fsspec.open(address, "rb") as file:
            return pd.read_parquet(file)
    except Exception as error:  # As above.
        raise OSError(scrubbed(f"a snapshot must be readable: {address}: {error}")) from None
