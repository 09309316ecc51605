"""The fold cache as Prefect's result storage, so that Prefect's caching uses it."""

import hashlib
from pathlib import Path
from typing import Any

from prefect.filesystems import WritableFileSystem

# Their module imports these without re-exporting them.
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]
from prefect.serializers import JSONSerializer
from pydantic import PrivateAttr, SecretStr

from kallos.cache import FoldCache
from kallos.scoring.job import FoldScore


class FoldStorage(WritableFileSystem):
    """Stores the results of fold tasks; a path is the task's cache key, the job's fingerprint."""

    _block_type_name = "Kallos Fold Storage"
    _block_type_slug = "kallos-fold-storage"

    # The URL may hold a password. Prefect encrypts and hides secrets.
    folder: SecretStr
    _found: dict[str, bytes] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The block's name, which differs for each cache: machines that share a server may have their own."""
        return f"fold-cache-{hashlib.sha256(self.folder.get_secret_value().encode()).hexdigest()[:8]}"

    # For a synchronous task, Prefect adds the argument `_sync=True`.
    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        """Return a score in Prefect's format; raises `ValueError` if there is none.

        Prefect reads an existing record twice: first to see whether it exists, then for its content.
        """
        found = self._found.pop(path, None)
        if found is not None:
            return found
        score = self._cache().read(Path(path).name)
        if score is None:
            raise ValueError(f"no fold score under {path}")
        metadata = ResultRecordMetadata(storage_key=path, serializer=JSONSerializer())
        return self._found.setdefault(path, ResultRecord(result=score, metadata=metadata).serialize())

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        """Store the score of a Prefect record."""
        score: FoldScore = ResultRecord.deserialize(content).result
        self._cache().write(Path(path).name, score)

    def _cache(self) -> FoldCache:
        return FoldCache(self.folder.get_secret_value())
