"""Where results are left: a folder of this machine, or one of an object store by its fsspec URL."""

import os
import posixpath
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from kallos.credentials import IN_STORES, refuse_unclear_password
from kallos.errors import KallosError, UsageError, scrubbed


def refuse_relative(folder: str) -> None:
    """Raise `UsageError` for a folder of this machine that is not absolute: runs of deployments begin anywhere."""
    if "://" not in folder and not Path(folder).expanduser().is_absolute():
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
    """Write a file as `write_text` does."""
    with _opened(folder, "the output folder must be writable") as (filesystem, path):
        filesystem.makedirs(path, exist_ok=True)
        unfinished = posixpath.join(path, f".{name}.{uuid.uuid4().hex}")
        try:
            with filesystem.open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                if isinstance(filesystem, LocalFileSystem):
                    os.fsync(file.fileno())
            if isinstance(filesystem, LocalFileSystem):
                # Not `mv`, which puts the file into a folder of its name without a word.
                Path(unfinished).replace(posixpath.join(path, name))
            else:
                filesystem.mv(unfinished, posixpath.join(path, name))
        except BaseException:
            if filesystem.exists(unfinished):
                filesystem.rm(unfinished)
            raise
    return address_of(folder, name)


def write_files(folder: str, files: Mapping[str, bytes]) -> None:
    """Make a folder of these files, which nobody sees before it is whole; it must not be there, or be empty.

    In an object store, where no folder can be renamed, the files appear one after the other. Raises `KallosError` if
    the folder cannot be written.
    """
    with _opened(folder, "the output folder must be writable") as (filesystem, path):
        parent, name = posixpath.split(path.rstrip("/"))
        filesystem.makedirs(parent, exist_ok=True)
        unfinished = posixpath.join(parent, f".{name}.{uuid.uuid4().hex}")
        try:
            filesystem.makedirs(unfinished)
            for file_name, content in files.items():
                path_in = posixpath.join(unfinished, file_name)
                filesystem.makedirs(posixpath.dirname(path_in), exist_ok=True)
                with filesystem.open(path_in, "wb") as file:
                    file.write(content)
                    file.flush()
                    if isinstance(filesystem, LocalFileSystem):
                        os.fsync(file.fileno())
            if isinstance(filesystem, LocalFileSystem):
                # An empty folder gives way, and nothing else does.
                Path(unfinished).rename(path)
            else:
                filesystem.mv(unfinished, path, recursive=True)
        except BaseException:
            if filesystem.exists(unfinished):
                filesystem.rm(unfinished, recursive=True)
            raise


def file_names(folder: str) -> list[str]:
    """Return the names of what is in a folder, none if there is no folder; raises `KallosError` as above."""
    with _opened(folder, "a folder must be readable") as (filesystem, path):
        try:
            found = filesystem.ls(path, detail=False)
        except FileNotFoundError:
            return []
    return sorted(posixpath.basename(each.rstrip("/")) for each in found)


def read_bytes(folder: str, name: str) -> bytes | None:
    """Return the content of a file in the folder, or None if it is not there; raises `KallosError` as above."""
    with _opened(folder, "a folder must be readable") as (filesystem, path):
        try:
            content: bytes = filesystem.cat_file(posixpath.join(path, name))
        except FileNotFoundError:
            return None
    return content


def read_text(folder: str, name: str) -> str | None:
    """Return the content of a file in the folder, or None if it is not there; raises `KallosError` as above."""
    content = read_bytes(folder, name)
    return None if content is None else content.decode(errors="replace")


def remove_text(folder: str, name: str) -> None:
    """Remove a file from the folder if it is there; raises `KallosError` as above."""
    with _opened(folder, "the output folder must be writable") as (filesystem, path), suppress(FileNotFoundError):
        filesystem.rm_file(posixpath.join(path, name))


def list_files(folder: str) -> tuple[str, ...]:
    """Return the paths of all files below the folder, sorted, without hidden ones; raises `KallosError` as above."""
    with _opened(folder, "a folder must be readable") as (filesystem, path):
        # What others have written since the last listing counts.
        filesystem.invalidate_cache()
        names = [posixpath.relpath(found, path) for found in filesystem.find(path)]
    return tuple(sorted(name for name in names if not re.search(r"(^|/)\.", name)))


def list_folders(folder: str) -> tuple[str, ...]:
    """Return the names of the folders in the folder, sorted, without hidden ones; raises `KallosError` as above."""
    with _opened(folder, "a folder must be readable") as (filesystem, path):
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(path, detail=True)
        except FileNotFoundError:
            return ()
    names = [posixpath.basename(each["name"].rstrip("/")) for each in found if each["type"] == "directory"]
    return tuple(sorted(name for name in names if not name.startswith(".")))


def remove_unfinished(folder: str) -> None:
    """Remove what killed writers left in the folder: for one that nobody else writes to meanwhile."""
    with _opened(folder, "the output folder must be writable") as (filesystem, path):
        filesystem.invalidate_cache()
        for found in filesystem.ls(path, detail=False) if filesystem.exists(path) else []:
            if re.fullmatch(r"\..+\.[0-9a-f]{32}", posixpath.basename(found.rstrip("/"))):
                filesystem.rm(found, recursive=True)


def local_path(folder: str) -> Path | None:
    """Return the folder's path if it is one of this machine, else None; raises `KallosError` as above."""
    with _opened(folder, "a folder must be readable") as (filesystem, path):
        return Path(path) if isinstance(filesystem, LocalFileSystem) else None


def remove_folder(folder: str) -> None:
    """Remove a folder and all in it, if it is there; raises `KallosError` as above."""
    with _opened(folder, "the output folder must be writable") as (filesystem, path):
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


@contextmanager
def _opened(folder: str, needed: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    refuse_unclear_password(folder, IN_STORES, "a folder's URL")
    try:
        yield fsspec.core.url_to_fs(folder)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise KallosError(scrubbed(f"{needed}: {folder}: {reason}")) from None
