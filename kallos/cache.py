"""The fold cache: scores by the fingerprints of their jobs, shared by all studies."""

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kallos.errors import StorageError, require
from kallos.scoring.job import FoldJob, FoldScore
from kallos.storage import Folder, Holdings, StoredFile, json_sha256, surplus

_log = logging.getLogger(__name__)

# An entry, or a temporary file of a killed process.
_ENTRY = re.compile(r"[^/]{2}/[^/]+")


class FoldCache:
    """A folder of small JSON files with checksums; damaged, foreign and infinite scores are ignored.

    The folder is a path, or an fsspec URL such as `s3://bucket/folder` that several machines share. All methods but
    `read` raise `StorageError` if it fails.
    """

    def __init__(self, folder: Path | str) -> None:
        require((str, Path), folder=folder)
        self._folder = Folder(str(folder), "the fold cache")

    def read(self, fingerprint: str) -> FoldScore | None:
        """Return the score of a fingerprint, or None; an invalid entry is logged."""
        name = _name(fingerprint)
        try:
            content = self._folder.read(name)
            return None if content is None else _believe(content, fingerprint)
        except StorageError as error:
            _log.warning("computing a cached fold again: %s: %s", error, name)
        except ValueError as error:
            _log.warning("computing a cached fold again, because its entry %s: %s", error, self._folder.address(name))
        return None

    def write(self, fingerprint: str, score: FoldScore) -> None:
        """Store a score atomically."""
        values = score.model_dump()
        text = json.dumps({"score": values, "sha256": _checksum(fingerprint, values)}, allow_nan=False)
        self._folder.write(_name(fingerprint), text, is_checked=True)

    def through(self, score_fold: Callable[[FoldJob], FoldScore]) -> Callable[[FoldJob], FoldScore]:
        """Return `score_fold` with the cache in front: missing scores are computed and stored."""

        def cached(job: FoldJob) -> FoldScore:
            score = self.read(job.fingerprint)
            if score is None:
                score = score_fold(job)
                self.write(job.fingerprint, score)
            return score

        return cached

    def holdings(self) -> Holdings:
        """Return the number and size of the entries."""
        return Holdings.of(self._entries())

    def remove(self, fingerprint: str) -> None:
        """Remove the score of a fingerprint, if there is one."""
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
    return f"{fingerprint[:2]}/{fingerprint}.json"


def _believe(content: bytes, fingerprint: str) -> FoldScore:
    """Return the score in an entry, or raise `ValueError` that says what is wrong with the entry."""
    try:
        entry = json.loads(content)
        score = FoldScore.model_validate(entry["score"])
        is_as_written = entry["sha256"] == _checksum(fingerprint, entry["score"])
    except (ValueError, KeyError, TypeError):
        raise ValueError("is not a score") from None
    if not is_as_written:
        raise ValueError("has a wrong checksum")
    if not all(map(math.isfinite, (score.rmse, score.mae, score.value))):
        raise ValueError("is not finite")
    return score


def _checksum(fingerprint: str, values: dict[str, Any]) -> str:
    """Hash the score with its fingerprint, so that an entry copied to another name is invalid."""
    return json_sha256([fingerprint, values])
