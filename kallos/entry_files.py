"""Files that many processes write and read, in a folder or in an object store, and what may go of them."""

import os
import posixpath
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from kallos.credentials import IN_STORES, refuse_unclear_password
from kallos.errors import KallosError, scrubbed


@dataclass(frozen=True)
class EntryFile:
    """A file by its name (`folder/name`), its size in bytes, and when it was written, in seconds since the epoch."""

    name: str
    size: int
    written: float

    @property
    def is_whole(self) -> bool:
        """Whether it is an entry, and not one that somebody is writing or was killed at."""
        return not posixpath.basename(self.name).startswith(".")


_UNFINISHED_SECONDS = 3600


@dataclass(frozen=True)
class Holdings:
    """What a store holds; `oldest` is when its oldest entry was written, in seconds since the epoch."""

    entries: int
    size_bytes: int
    oldest: float | None

    @classmethod
    def of(cls, files: list[EntryFile]) -> "Holdings":
        """Return what these files are together."""
        return cls(
            entries=len(files),
            size_bytes=sum(file.size for file in files),
            oldest=min((file.written for file in files), default=None),
        )


class EntryFiles(Protocol):
    """The files of one folder that have a pattern; each may raise `OSError`."""

    def read(self, name: str) -> str:
        """Return a file's text; raises `FileNotFoundError` if there is none, `ValueError` if it is no text."""

    def write(self, name: str, text: str) -> None:
        """Write a file, whoever else writes the same."""

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""

    def files(self) -> list[EntryFile]:
        """Return all files."""

    def shown(self, name: str) -> str:
        """Return where a file is, without a password."""


def entries_of(store: EntryFiles) -> list[EntryFile]:
    """Return all entries, and what killed processes left unfinished an hour ago or before."""
    long_ago = time.time() - _UNFINISHED_SECONDS
    return [file for file in store.files() if file.is_whole or file.written < long_ago]


def surplus(
    files: list[EntryFile], *, written_before: float | None = None, max_bytes: int | None = None
) -> list[EntryFile]:
    """Return the files written before a moment (seconds since the epoch), and the oldest beyond a size."""
    too_many, kept = [], 0
    for file in sorted(files, key=lambda file: file.written, reverse=True):
        kept += file.size
        if (written_before is not None and file.written < written_before) or (
            max_bytes is not None and kept > max_bytes
        ):
            too_many.append(file)
    return too_many


def open_entry_files(folder: Path | str, pattern: str = "??/*") -> EntryFiles:
    """Return the files of a folder of this machine, or of one by its fsspec URL, whose names have a pattern.

    Raises `KallosError` if the URL names no store that can be opened here.
    """
    if isinstance(folder, Path):
        return LocalFiles(folder, pattern)
    refuse_unclear_password(folder, IN_STORES, "the URL of a store")
    try:
        filesystem, path = fsspec.core.url_to_fs(folder)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        raise KallosError(scrubbed(f"a store must be a folder or an fsspec URL of one: {folder}: {error}")) from None
    if isinstance(filesystem, LocalFileSystem):
        return LocalFiles(Path(path), pattern)
    return RemoteFiles(filesystem, path, folder, pattern)


class LocalFiles:
    """Files of this machine, each written whole or not at all."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._folder = folder
        self._pattern = pattern

    def read(self, name: str) -> str:
        """Return a file's text."""
        return (self._folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file to another name, and rename it."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}")
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        (self._folder / name).unlink(missing_ok=True)

    def files(self) -> list[EntryFile]:
        """Return all files."""
        return [file for path in self._folder.glob(self._pattern) if (file := self._file(path)) is not None]

    def shown(self, name: str) -> str:
        """Return a file's path."""
        return str(self._folder / name)

    def _file(self, path: Path) -> EntryFile | None:
        try:
            status = path.stat()
        except FileNotFoundError:  # Whoever was writing it has finished.
            return None
        return EntryFile(path.relative_to(self._folder).as_posix(), status.st_size, status.st_mtime)


class RemoteFiles:
    """Files of an fsspec store. Object stores put a file whole; of any other a torn one fails its checksum."""

    def __init__(self, filesystem: AbstractFileSystem, folder: str, url: str, pattern: str) -> None:
        self._filesystem = filesystem
        self._folder = folder
        self._url = url
        self._pattern = pattern

    def read(self, name: str) -> str:
        """Return a file's text."""
        with _as_os_error():
            content: bytes = self._filesystem.cat_file(self._path(name))
        return content.decode()

    def write(self, name: str, text: str) -> None:
        """Put a file."""
        path = self._path(name)
        with _as_os_error():
            self._filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
            self._filesystem.pipe_file(path, text.encode())

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError), _as_os_error():
            self._filesystem.rm_file(self._path(name))

    def files(self) -> list[EntryFile]:
        """Return all files."""
        with _as_os_error():
            # Other machines have written since it was listed last.
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(self._folder, detail=True)
            return [
                self._file(path, int(seen["size"]))
                for path, seen in found.items()
                if fnmatchcase(posixpath.relpath(path, self._folder), self._pattern)
            ]

    def shown(self, name: str) -> str:
        """Return a file's URL without a password."""
        return scrubbed(posixpath.join(self._url, name))

    def _file(self, path: str, size: int) -> EntryFile:
        written = self._filesystem.modified(path)
        written = written if written.tzinfo else written.replace(tzinfo=UTC)
        return EntryFile(posixpath.relpath(path, self._folder), size, written.timestamp())

    def _path(self, name: str) -> str:
        return posixpath.join(self._folder, name)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Say what a store's own library raises as `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(scrubbed(f"{type(error).__name__}: {error}")) from None
