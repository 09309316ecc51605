"""Atomically written files in a local folder or an object store (an fsspec URL)."""

import hashlib
import json
import os
import posixpath
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kallos.errors import StorageError, UsageError
from kallos.words import scrubbed

# Characters at which the stores' libraries end a password; a port and a path are not a password.
IN_STORES = re.compile(r"(?!\d+/).*[@/?#\[\]]", re.DOTALL)

_HIDDEN = re.compile(r"(^|/)\.")
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")
# After this time nobody is still writing it.
_UNFINISHED_SECONDS = 3600


@dataclass(frozen=True)
class StoredFile:
    """A file's name (`folder/name`), its size in bytes, and when it was written, in seconds since the epoch."""

    name: str
    size: int
    written: float


@dataclass(frozen=True)
class Holdings:
    """The total of some files; `oldest` is when the oldest was written, in seconds since the epoch."""

    entries: int
    size_bytes: int
    oldest: float | None

    @classmethod
    def of(cls, files: Iterable[StoredFile]) -> Self:
        """Add up these files."""
        files = list(files)
        return cls(
            entries=len(files),
            size_bytes=sum(file.size for file in files),
            oldest=min((file.written for file in files), default=None),
        )


class Folder:
    """A local folder, or one of an object store by its fsspec URL; writing creates it.

    Local files are written under a hidden name and renamed, and those of an object store are put as a whole, so readers
    never see a partial file. `what` describes the folder in messages. Raises `UsageError` for a URL with an ambiguous
    password. This and every method raise `StorageError`, without the password, if the folder cannot be used.
    """

    def __init__(self, url: str, what: str = "the output folder") -> None:
        refuse_unclear_password(url, IN_STORES, "a folder's URL")
        self.url = url
        self._what = what
        with self._errors("a folder must be a path or an fsspec URL that can be opened"):
            self._filesystem, self._path = fsspec.core.url_to_fs(url)
        #: The folder's path, if it is local.
        self.local = Path(self._path) if isinstance(self._filesystem, LocalFileSystem) else None

    def __truediv__(self, name: str) -> "Folder":
        """Return a folder within this one."""
        return Folder(posixpath.join(self.url, name), self._what)

    def address(self, name: str) -> str:
        """Return a file's address for messages."""
        return address_of(self.url, name)

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        with self._reading():
            return bool(self._filesystem.exists(self._at(name)))

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if it does not exist."""
        with self._reading():
            try:
                content: bytes = self._filesystem.cat_file(self._at(name))
            except FileNotFoundError:
                return None
        return content

    def read_object(self, name: str) -> dict[str, Any] | None:
        """Return the JSON object in a file, or None if there is none."""
        try:
            found = json.loads(self.read(name) or b"null")
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, content: str | bytes, *, is_checked: bool = False) -> str:
        """Write a file and return its address, without a password.

        With `is_checked`, readers detect damaged content, so the write is not flushed to disk, which is faster.
        """
        with self._writing():
            self._write(name, content.encode() if isinstance(content, str) else content, flushed=not is_checked)
        return self.address(name)

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Write all files of a new or empty folder at once; in an object store they appear one by one in this order."""
        with self._writing():
            if self.local is None:
                self._put_all(files)
                return
            unfinished = self.local.with_name(f".{self.local.name}.{uuid.uuid4().hex}")
            try:
                unfinished.mkdir(parents=True)
                for name, content in files.items():
                    _write_through(unfinished / name, content)
                # This replaces an empty folder, and nothing else.
                unfinished.rename(self.local)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with self._writing(), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._at(name))

    def clear(self) -> None:
        """Remove the folder with all its content if it exists."""
        with self._writing():
            if self._filesystem.exists(self._path):
                self._filesystem.rm(self._path, recursive=True)

    def remove_unfinished(self) -> None:
        """Remove what killed writers left in the folder, while nobody else writes to it."""
        for name in filter(_UNFINISHED.fullmatch, self.names()):
            with self._writing():
                self._filesystem.rm(self._at(name), recursive=True)

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of everything in the folder, with hidden files; empty if it does not exist."""
        return tuple(sorted(self._children()))

    def folders(self) -> tuple[str, ...]:
        """Return the sorted names of the folders in the folder, without hidden ones."""
        return tuple(sorted(name for name, is_folder in self._children().items() if is_folder and name[0] != "."))

    def files(self) -> tuple[str, ...]:
        """Return the sorted names of all files in the folder and its subfolders, without hidden ones."""
        with self._reading():
            return tuple(sorted(name for name in self._sizes() if not _HIDDEN.search(name)))

    def stored(self) -> list[StoredFile]:
        """Return all files in the folder and its subfolders, including what killed writers left over an hour ago."""
        long_ago = time.time() - _UNFINISHED_SECONDS
        with self._reading():
            found = [
                StoredFile(name, size, written)
                for name, size in self._sizes().items()
                if (written := self._written(name)) is not None
            ]
        return [file for file in found if file.written < long_ago or not _HIDDEN.search(file.name)]

    def _at(self, name: str) -> str:
        return posixpath.join(self._path, name)

    def _write(self, name: str, content: bytes, *, flushed: bool) -> None:
        if self.local is None:
            self._put(name, content)
            return
        path = self.local / name
        unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            _write_through(unfinished, content, flushed=flushed)
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise

    def _put(self, name: str, content: bytes) -> None:
        path = self._at(name)
        self._filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
        self._filesystem.pipe_file(path, content)

    def _put_all(self, files: Mapping[str, bytes]) -> None:
        try:
            for name, content in files.items():
                self._put(name, content)
        except BaseException:
            for name in files:
                with suppress(Exception):
                    self._filesystem.rm_file(self._at(name))
            raise

    def _children(self) -> dict[str, bool]:
        """Return the names in the folder, and whether each is a folder."""
        with self._reading():
            try:
                if self.local is not None:
                    return {path.name: path.is_dir() for path in self.local.iterdir()}
                # fsspec would return a cached listing.
                self._filesystem.invalidate_cache()
                found = self._filesystem.ls(self._path, detail=True)
            except FileNotFoundError:
                return {}
        return {posixpath.basename(each["name"].rstrip("/")): each["type"] == "directory" for each in found}

    def _sizes(self) -> dict[str, int]:
        """Return the names and sizes in bytes of all files in the folder and its subfolders."""
        if self.local is None:
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(self._path, detail=True)
            return {posixpath.relpath(path, self._path): int(each["size"]) for path, each in found.items()}
        sizes = {}
        # fsspec would skip a whole folder if a file vanishes from it meanwhile.
        for path in self.local.rglob("*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    sizes[path.relative_to(self.local).as_posix()] = status.st_size
        return sizes

    def _written(self, name: str) -> float | None:
        try:
            written = self._filesystem.modified(self._at(name))
        except FileNotFoundError:  # Its writer has renamed it.
            return None
        return float((written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp())

    @contextmanager
    def _errors(self, rule: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Each store has its own errors for a missing package or a wrong key.
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise StorageError(scrubbed(f"{rule}: {self.url}: {reason}")) from None

    def _reading(self) -> AbstractContextManager[None]:
        return self._errors(f"{self._what} must be readable")

    def _writing(self) -> AbstractContextManager[None]:
        return self._errors(f"{self._what} must be writable")


def _write_through(path: Path, content: bytes, *, flushed: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        if flushed:
            file.flush()
            os.fsync(file.fileno())


def refuse_unclear_password(url: str, unclear: re.Pattern[str], what: str) -> None:
    """Raise `UsageError`, without showing the URL, if its password is ambiguous."""
    rest = url.partition("://")[2]
    user, _, password = rest.rpartition("@")[0].partition(":")
    if "/" not in user and ("?" in user or unclear.match(password)):
        raise UsageError(
            f"the password in {what} must be percent-encoded: write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
            f"[ as %5B, ] as %5D and % as %25"
        )


def refuse_relative(folder: str) -> None:
    """Raise `UsageError` for a relative local folder, since runs of deployments start in any folder."""
    if "://" not in folder and not Path(folder).expanduser().is_absolute():
        raise UsageError(
            f"the output folder of a deployment must be absolute, not {folder!r}, since its runs start in a temporary "
            f"folder; give an absolute path, or the URL of an object store"
        )


def prepare_folder(folder: str) -> None:
    """Create the folder and test that it is writable, before a study starts; raises `StorageError` if it is not."""
    probe = f".{uuid.uuid4().hex}"
    store = Folder(folder)
    store.write(probe, "")
    store.remove(probe)


def address_of(folder: str, name: str) -> str:
    """Return a file's address for messages, without the password of a URL."""
    return scrubbed(posixpath.join(folder, name))


def split_address(address: str) -> tuple[str, str]:
    """Split a file's path or fsspec URL into folder and name."""
    folder, name = posixpath.split(address)
    return folder or ".", name


def read_at(address: str) -> bytes | None:
    """Read a file as `Folder.read` does, by its path or fsspec URL."""
    folder, name = split_address(address)
    return Folder(folder, "a folder").read(name)


def write_at(address: str, content: str | bytes) -> str:
    """Write a file as `Folder.write` does, by its path or fsspec URL."""
    folder, name = split_address(address)
    return Folder(folder).write(name, content)


def surplus(
    files: list[StoredFile], *, written_before: float | None = None, max_bytes: int | None = None
) -> list[StoredFile]:
    """Return the files written before a moment (seconds since the epoch), and the oldest beyond a total size."""
    newest_first = sorted(files, key=lambda file: file.written, reverse=True)
    totals = accumulate(file.size for file in newest_first)
    return [
        file
        for file, total in zip(newest_first, totals, strict=True)
        if (written_before is not None and file.written < written_before)
        or (max_bytes is not None and total > max_bytes)
    ]


def json_sha256(content: object) -> str:
    """Hash a value as JSON with sorted keys; raises `ValueError` or `TypeError` if JSON cannot hold it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
