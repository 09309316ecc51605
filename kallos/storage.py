"""Files that are written whole or not at all, in a folder of this machine or of an object store by its fsspec URL."""

import os
import posixpath
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from kallos.errors import KallosError, UsageError
from kallos.words import scrubbed

# What the stores' libraries end a password at, as a browser does; a port and a path are none.
IN_STORES = re.compile(r"(?!\d+/).*[@/?#\[\]]", re.DOTALL)


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


def refuse_unclear_password(url: str, unclear: re.Pattern[str], what: str) -> None:
    """Raise `UsageError`, without showing any of it, for a URL whose password can be read in two ways."""
    rest = url.partition("://")[2]
    user, _, password = rest.rpartition("@")[0].partition(":")
    if "/" not in user and ("?" in user or unclear.match(password)):
        raise UsageError(
            f"the password in {what} must be percent-encoded: write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
            f"[ as %5B, ] as %5D and % as %25"
        )


@contextmanager
def _opened(folder: str, needed: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    refuse_unclear_password(folder, IN_STORES, "a folder's URL")
    try:
        yield fsspec.core.url_to_fs(folder)
    except Exception as error:  # Each store has errors of its own, for a missing package or a wrong key.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise KallosError(scrubbed(f"{needed}: {folder}: {reason}")) from None


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


def split_address(address: str) -> tuple[str, str]:
    """Return the folder and the name of a file, given as a path or an fsspec URL."""
    folder, name = posixpath.split(address)
    return folder or ".", name
