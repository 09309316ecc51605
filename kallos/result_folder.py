"""Where results are left: a folder of this machine, or one of an object store by its fsspec URL."""

import os
import posixpath
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from kallos.errors import KallosError, UsageError, scrubbed

_WRITABLE = "the output folder must be writable"
_READABLE = "the folder must be readable"


def refuse_relative(folder: str) -> None:
    """Raise `UsageError` for a folder of this machine that is not absolute: runs of deployments begin anywhere."""
    if not urlsplit(folder).scheme and not Path(folder).expanduser().is_absolute():
        raise UsageError(
            f"the output folder must be absolute in a deployment, not {folder!r}: its runs begin in a folder that does "
            f"not outlive them; give a whole path, or the URL of an object store"
        )


def prepare_folder(folder: str) -> None:
    """Make the folder and write to it, so that a study does not find out at its end that it cannot.

    Raises `KallosError` if that fails.
    """
    probe = f".{uuid.uuid4().hex}"
    write_text(folder, probe, "")
    remove_text(folder, probe)


def address_of(folder: str, name: str) -> str:
    """Return where a file of the folder is, for showing: without the password of a URL."""
    return scrubbed(posixpath.join(folder, name))


def write_text(folder: str, name: str, text: str) -> str:
    """Write a file into the folder, whole or not at all, and return its address, without a password.

    Raises `KallosError` if the folder cannot be written.
    """
    return write_bytes(folder, name, text.encode())


def write_bytes(folder: str, name: str, content: bytes) -> str:
    """Write a file of bytes into the folder, and raise, as above."""
    with _opened(folder, _WRITABLE) as (filesystem, path):
        filesystem.makedirs(path, exist_ok=True)
        unfinished = posixpath.join(path, _unfinished(name))
        try:
            _write(filesystem, unfinished, content)
            filesystem.mv(unfinished, posixpath.join(path, name))
        except BaseException:
            if filesystem.exists(unfinished):
                filesystem.rm(unfinished)
            raise
    return address_of(folder, name)


def write_folder(folder: str, name: str, files: Mapping[str, bytes]) -> str:
    """Write files, by their paths, as a folder in the folder, in place of one that is there; return its address.

    On this machine it is there whole or not at all; in an object store the files come one by one, in their order.
    Raises `KallosError` as above.
    """
    with _opened(folder, _WRITABLE) as (filesystem, path):
        is_local = isinstance(filesystem, LocalFileSystem)
        final = posixpath.join(path, name)
        written = posixpath.join(path, _unfinished(name)) if is_local else final
        try:
            if not is_local:
                _remove_tree(filesystem, final)
            for part, content in files.items():
                file = posixpath.join(written, part)
                filesystem.makedirs(posixpath.dirname(file), exist_ok=True)
                _write(filesystem, file, content)
            if is_local:
                _remove_tree(filesystem, final)
                filesystem.mv(written, final)
        except BaseException:
            _remove_tree(filesystem, written)
            raise
    return address_of(folder, name)


def read_text(folder: str, name: str) -> str | None:
    """Return the content of a file in the folder, or None if it is not there; raises `KallosError` as above."""
    content = read_bytes(folder, name)
    return None if content is None else content.decode(errors="replace")


def read_bytes(folder: str, name: str) -> bytes | None:
    """Return the bytes of a file in the folder, or None if it is not there; raises `KallosError` as above."""
    with _opened(folder, _READABLE) as (filesystem, path):
        try:
            content: bytes = filesystem.cat_file(posixpath.join(path, name))
        except FileNotFoundError:
            return None
    return content


def list_files(folder: str, *, hidden: bool = False) -> tuple[str, ...]:
    """Return the paths of all files below the folder, sorted; hidden ones if asked for. Raises `KallosError` as above."""
    with _opened(folder, _READABLE) as (filesystem, path):
        # What others have written since the last listing counts.
        filesystem.invalidate_cache()
        names = [posixpath.relpath(found, path) for found in filesystem.find(path)]
    return tuple(sorted(name for name in names if hidden or not re.search(r"(^|/)\.", name)))


def list_folders(folder: str) -> tuple[str, ...]:
    """Return the names of the folders in the folder, sorted, without hidden ones; raises `KallosError` as above."""
    with _opened(folder, _READABLE) as (filesystem, path):
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(path, detail=True)
        except FileNotFoundError:
            return ()
    names = [posixpath.basename(each["name"].rstrip("/")) for each in found if each["type"] == "directory"]
    return tuple(sorted(name for name in names if not name.startswith(".")))


def remove_unfinished(folder: str) -> None:
    """Remove what killed writers left in the folder: for one that nobody else writes to meanwhile."""
    with _opened(folder, _WRITABLE) as (filesystem, path):
        filesystem.invalidate_cache()
        for found in filesystem.ls(path, detail=False) if filesystem.exists(path) else []:
            if re.fullmatch(r"\..+\.[0-9a-f]{32}", posixpath.basename(found.rstrip("/"))):
                _remove_tree(filesystem, found)


def remove_text(folder: str, name: str) -> None:
    """Remove a file from the folder if it is there; raises `KallosError` as above."""
    with _opened(folder, _WRITABLE) as (filesystem, path), suppress(FileNotFoundError):
        filesystem.rm_file(posixpath.join(path, name))


def local_path(folder: str) -> Path | None:
    """Return the folder's path if it is one of this machine, else None; raises `KallosError` as above."""
    with _opened(folder, _READABLE) as (filesystem, path):
        return Path(path) if isinstance(filesystem, LocalFileSystem) else None


def _unfinished(name: str) -> str:
    return f".{name}.{uuid.uuid4().hex}"


def _write(filesystem: AbstractFileSystem, path: str, content: bytes) -> None:
    with filesystem.open(path, "wb") as file:
        file.write(content)
        file.flush()
        if isinstance(filesystem, LocalFileSystem):
            os.fsync(file.fileno())


def _remove_tree(filesystem: AbstractFileSystem, path: str) -> None:
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


@contextmanager
def _opened(folder: str, rule: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    try:
        yield fsspec.core.url_to_fs(folder)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise KallosError(scrubbed(f"{rule}: {folder}: {reason}")) from None
