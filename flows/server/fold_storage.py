"""The fold cache as Prefect's result storage, so that Prefect's own caching reads and writes there."""

import hashlib
from pathlib import Path
from typing import Any

from prefect.filesystems import WritableFileSystem

# Prefect's own storage records; their module re-exports them without saying so.
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]
from prefect.serializers import JSONSerializer
from pydantic import PrivateAttr, SecretStr

from kallos.cache import FoldCache
from kallos.scoring.job import FoldScore


class FoldStorage(WritableFileSystem):
    """Stores the results of fold tasks; a path is the task's cache key, the job's fingerprint."""

    _block_type_name = "Kallos Fold Storage"
    _block_type_slug = "kallos-fold-storage"

    # Its URL may hold a password: Prefect encrypts it, and shows none of it.
    folder: SecretStr
    _found: dict[str, bytes] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the block: machines that share a server have caches of their own."""
        return f"fold-cache-{hashlib.sha256(self.folder.get_secret_value().encode()).hexdigest()[:8]}"

    # Prefect calls its storage as `method(..., _sync=True)` where a task is not asynchronous.
    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        """Return the record of a score as Prefect writes it, or raise `ValueError` if there is none.

        Prefect asks twice for a record that is there: whether it is, and for what it says.
        """
        found = self._found.pop(path, None)
        if found is not None:
            return found
        score = self._cache().read(_key(path))
        if score is None:
            raise ValueError(f"no fold score under {path}")
        metadata = ResultRecordMetadata(storage_key=path, serializer=JSONSerializer())
        return self._found.setdefault(path, ResultRecord(result=score, metadata=metadata).serialize())

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        """Store the score that a record of Prefect's holds."""
        score: FoldScore = ResultRecord.deserialize(content).result
        self._cache().write(_key(path), score)

    def _cache(self) -> FoldCache:
        return FoldCache(self.folder.get_secret_value())


def _key(path: str) -> str:
    return Path(path).name
