"""Hold-out evaluations: each is logged in the folder of its model, and they are counted over all models."""

import logging
import posixpath
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from kallos.errors import KallosError
from kallos.features.moments import Timestamp
from kallos.storage import Folder
from kallos.words import target_label

_log = logging.getLogger(__name__)

# In a model's folder. The evaluations are not part of the model: later ones are added.
MANIFEST, HOLDOUT_EVALUATIONS = "manifest.json", "holdout_evaluations"


class EvaluationRecord(BaseModel):
    """An evaluation of a model on rows `test_start` to `test_end`, both inclusive (a date means the whole day).

    `decision` is that of the verdict, or None before there is one. `evaluation_id` is part of the file's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluation_id: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern=r"^[0-9a-f]{32}$")
    model_id: str
    asset_id: str
    target: str
    horizon: PositiveInt
    test_start: Timestamp
    test_end: Timestamp
    data_sha256: str
    time: AwareDatetime
    decision: str | None = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self._window.first > self._window.last:
            raise ValueError(f"test_end must not lie before test_start: {self.test_start} and {self.test_end}")
        return self

    def overlaps(self, other: "EvaluationRecord") -> bool:
        """Whether both have the same asset, target and horizon, and overlapping windows."""
        return (self.asset_id, self.target, self.horizon) == (
            other.asset_id,
            other.target,
            other.horizon,
        ) and self._window.overlaps(other._window)

    @property
    def _window(self) -> "_Window":
        return _Window.of(self.test_start, self.test_end)


@dataclass(frozen=True)
class EvaluationCount:
    """The number of hold-out evaluations, and of tests: distinct pairs of model and window among them."""

    holdout_evaluations: int
    tests: int


def record_evaluation(model_folder: str, evaluation: EvaluationRecord) -> str:
    """Log an evaluation as a file in the model's folder and return its address, without a password.

    Log it before any result is seen, and again with its decision: both are the same evaluation. Raises `KallosError` if
    the folder cannot be written.
    """
    name = f"{evaluation.time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{evaluation.evaluation_id}.json"
    return _evaluations(model_folder).write(name, evaluation.model_dump_json(indent=2) + "\n")


def evaluations_in(model_folder: str) -> tuple[EvaluationRecord, ...]:
    """Return the evaluations logged in a model's folder, by time; unreadable ones are left out with a warning."""
    found = []
    for each in _logged_in(model_folder):
        if each.evaluation is None:
            _log.warning("cannot read a hold-out evaluation: %s", each.address)
        else:
            found.append(each.evaluation)
    return tuple(sorted(found, key=lambda evaluation: evaluation.time))


def count_evaluations(folders: Iterable[str], evaluation: EvaluationRecord) -> EvaluationCount:
    """Count the evaluations in models' folders that overlap this one, including this one if it is recorded.

    The evaluations of a copied model count once. An unreadable evaluation counts, with a warning, unless the model's
    manifest has another asset, target or horizon. Raises `KallosError` if a folder cannot be read.
    """
    logged: dict[str, _Logged] = {}
    for folder in folders:
        for each in _logged_in(folder):
            if each.evaluation is not None or each.name not in logged:
                logged[each.name] = each
    counted = [each for each in logged.values() if each.counts_as(evaluation)]
    for each in counted:
        if each.evaluation is None:
            _log.warning("cannot read a hold-out evaluation, so it is counted for this hold-out: %s", each.address)
    tests = {
        (each.model_id, *((each.evaluation.test_start, each.evaluation.test_end) if each.evaluation else (each.name,)))
        for each in counted
    }
    return EvaluationCount(len(counted), len(tests))


def sibling_folders(model_folder: str) -> tuple[str, ...]:
    """Return the folders next to a model's folder, including it; raises `KallosError` as above."""
    path = Folder(model_folder).local
    parent = str(path.resolve().parent) if path is not None else posixpath.dirname(model_folder.rstrip("/"))
    return tuple(posixpath.join(parent, name) for name in Folder(parent, "a folder of models").folders())


@dataclass(frozen=True)
class _Window:
    """The first and the last moment in seconds, or row numbers."""

    is_rows: bool
    first: float
    last: float

    @classmethod
    def of(cls, start: Timestamp, end: Timestamp) -> Self:
        if isinstance(start, int) and isinstance(end, int):
            return cls(True, start, end)
        return cls(False, _covered(str(start))[0], _covered(str(end))[1])

    def overlaps(self, other: "_Window") -> bool:
        # Row numbers and dates cannot be compared: counting them is conservative.
        return self.is_rows != other.is_rows or (self.first <= other.last and other.first <= self.last)


def _covered(timestamp: str) -> tuple[float, float]:
    """Return the first and the last moment of an ISO date or time, by default in UTC; raises `ValueError`."""
    moment = datetime.fromisoformat(timestamp)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        date.fromisoformat(timestamp)
    except ValueError:
        return seconds, seconds
    return seconds, seconds + 86_400 - 1e-6


@dataclass(frozen=True)
class _Logged:
    """A file of a model's evaluations; `evaluation` is None if it cannot be read."""

    folder: str
    name: str
    evaluation: EvaluationRecord | None

    @property
    def address(self) -> str:
        return _evaluations(self.folder).address(self.name)

    @property
    def model_id(self) -> str:
        if self.evaluation is not None:
            return self.evaluation.model_id
        return str(self._manifest.get("model_id") or posixpath.basename(self.folder.rstrip("/")))

    def counts_as(self, evaluation: EvaluationRecord) -> bool:
        """Whether it is of the same hold-out, or could be."""
        if self.evaluation is not None:
            return self.evaluation.overlaps(evaluation)
        subject = {"asset_id": evaluation.asset_id, "target": evaluation.target, "horizon": evaluation.horizon}
        its = dict(self._manifest)
        if isinstance(its.get("target"), list):
            its["target"] = target_label([str(name) for name in its["target"]])
        return all(its.get(key, value) == value for key, value in subject.items())

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        try:
            return Folder(self.folder).read_object(MANIFEST) or {}
        except KallosError:
            return {}


def _logged_in(folder: str) -> Iterator[_Logged]:
    logged = _evaluations(folder)
    for name in logged.files():
        try:
            evaluation = EvaluationRecord.model_validate_json(logged.read(name) or b"")
        except (ValidationError, KallosError):
            evaluation = None
        yield _Logged(folder, name, evaluation)


def _evaluations(model_folder: str) -> Folder:
    return Folder(model_folder, "a model's folder") / HOLDOUT_EVALUATIONS
