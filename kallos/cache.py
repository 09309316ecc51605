"""The fold cache: results by the fingerprints of their jobs, shared by all studies."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from kallos.errors import StorageError, require
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.storage import Folder, Holdings, StoredFile, surplus

_log = logging.getLogger(__name__)

# An entry, or a temporary file of a killed process.
_ENTRY = re.compile(r"[^/]{2}/[^/]+")


class FoldCache:
    """A folder of files with checksums, each a fold's forecasts; damaged and foreign ones are ignored.

    The folder is a path, or an fsspec URL such as `s3://bucket/folder` that several machines share. All methods but
    `read` raise `StorageError` if it fails.
    """

    def __init__(self, folder: Path | str) -> None:
        require((str, Path), folder=folder)
        self._folder = Folder(str(folder), "the fold cache")

    def read(self, fingerprint: str) -> FoldResult | None:
        """Return the result of a fingerprint, or None; an invalid entry is logged."""
        name = _name(fingerprint)
        try:
            content = self._folder.read(name)
            return None if content is None else FoldResult.of_content(content, fingerprint)
        except StorageError as error:
            _log.warning("a cached fold cannot be read: %s: %s", error, name)
        except ValueError as error:
            _log.warning("a cached fold is not used, because its entry %s: %s", error, self._folder.address(name))
        return None

    def has(self, fingerprint: str) -> bool:
        """Return whether there is an entry, which may be invalid."""
        return self._folder.has(_name(fingerprint))

    def write(self, fingerprint: str, result: FoldResult) -> None:
        """Store a result atomically."""
        try:
            self._folder.write(_name(fingerprint), result.content(fingerprint), is_checked=True)
        except StorageError as error:
            raise StorageError(f"{error}; finished folds are kept: run the same command to continue") from None

    def through(self, evaluate: Callable[[FoldJob], FoldResult]) -> Callable[[FoldJob], FoldResult]:
        """Return `evaluate` with the cache in front: missing results are computed and stored."""

        def cached(job: FoldJob) -> FoldResult:
            result = self.read(job.fingerprint)
            if result is None:
                result = evaluate(job)
                self.write(job.fingerprint, result)
            return result

        return cached

    def holdings(self) -> Holdings:
        """Return the number and size of the entries."""
        return Holdings.of(self._entries())

    def remove(self, fingerprint: str) -> None:
        """Remove the result of a fingerprint, if there is one."""
        self._folder.remove(_name(fingerprint))

    def prune(self, *, written_before: float | None = None, max_bytes: int | None = None) -> Holdings:
        """Remove entries written before a time (seconds since the epoch), then the oldest ones beyond a size.

        Returns the number and size of the removed entries.
        """
        removed = surplus(self._entries(), written_before=written_before, max_bytes=max_bytes)
        for file in removed:
            self._folder.remove(file.name)
        return Holdings.of(removed)

    def _entries(self) -> list[StoredFile]:
        return [file for file in self._folder.stored() if _ENTRY.fullmatch(file.name)]


def _name(fingerprint: str) -> str:
    return f"{fingerprint[:2]}/{fingerprint}.safetensors"
