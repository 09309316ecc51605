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
from kallos.errors import StorageError
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.workers.queue import EvaluateFold


class FoldStorage(WritableFileSystem):
    """Stores the results of fold tasks; a path is the task's cache key, the job's fingerprint.

    Prefect's record of a fold only says how it was fitted. The forecasts go around Prefect: a task `keep`s them before
    it returns, and whoever called it `take`s them.
    """

    _block_type_name = "Kallos Fold Storage"
    _block_type_slug = "kallos-fold-storage"

    # The URL may hold a password. Prefect encrypts and hides secrets.
    folder: SecretStr
    _found: dict[str, bytes] = PrivateAttr(default_factory=dict)
    _results: dict[str, FoldResult] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The block's name, which differs for each cache: machines that share a server may have their own."""
        return f"fold-cache-{hashlib.sha256(self.folder.get_secret_value().encode()).hexdigest()[:8]}"

    def keep(self, job: FoldJob, evaluate: EvaluateFold) -> FoldResult:
        """Return the result of a job and store it, before Prefect writes its record.

        A retry after the cache could not be written does not evaluate it again.
        """
        if job.fingerprint not in self._results:
            self._results[job.fingerprint] = evaluate(job)
        result = self._results[job.fingerprint]
        self._cache().write(job.fingerprint, result)
        return result

    def take(self, job: FoldJob) -> FoldResult:
        """Return the result of a job whose task has ended; raises `StorageError` if it was removed meanwhile."""
        # Two trials with the same parameters have the same jobs, and take a result from each other.
        result = self._results.pop(job.fingerprint, None) or self._cache().read(job.fingerprint)
        if result is None:
            raise StorageError(
                f"the forecasts of {job.name} must stay in the fold cache while a study runs, and are gone: run it "
                f"again, and prune the cache when no study runs"
            )
        return result

    # For a synchronous task, Prefect adds the argument `_sync=True`.
    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        """Return Prefect's record of a fold whose forecasts are kept; raises `ValueError` if they are not.

        Prefect reads an existing record twice: first to see whether it exists, then for its content.
        """
        found = self._found.pop(path, None)
        if found is not None:
            return found
        fingerprint = Path(path).name
        result = self._cache().read(fingerprint)
        if result is None:
            raise ValueError(f"no forecasts of a fold under {path}")
        self._results[fingerprint] = result
        metadata = ResultRecordMetadata(storage_key=path, serializer=JSONSerializer())
        return self._found.setdefault(path, ResultRecord(result=result.fit, metadata=metadata).serialize())

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        """Do nothing: `keep` has stored the forecasts, and with them all that Prefect's record says."""

    def _cache(self) -> FoldCache:
        return FoldCache(self.folder.get_secret_value())
