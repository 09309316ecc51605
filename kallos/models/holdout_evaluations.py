"""Hold-out evaluations: each is logged beside the model that was evaluated, and counted over all models."""

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
from kallos.storage import Folder
from kallos.words import target_label

_log = logging.getLogger(__name__)

# What lies in a model's folder: what it says of itself, and the evaluations; they grow, and are no part of the model.
MANIFEST, HOLDOUT_EVALUATIONS = "manifest.json", "holdout_evaluations"

Timestamp = str | int


class EvaluationRecord(BaseModel):
    """One evaluation of a model on later rows, `test_start` to `test_end`, both inclusive (a date is its whole day).

    `decision` is the verdict's, None as long as there is none. `evaluation_id` names its file.
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
            raise ValueError(f"test_end must be no earlier than test_start: {self.test_start} and {self.test_end}")
        return self

    def overlaps(self, other: "EvaluationRecord") -> bool:
        """Whether both are of the same asset, target and horizon, on windows that overlap."""
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
    """Hold-out evaluations, and how many different tests they were.

    A test is a model on a window: the same again is not another.
    """

    holdout_evaluations: int
    tests: int


def record_evaluation(model_folder: str, evaluation: EvaluationRecord) -> str:
    """Log an evaluation beside the model, as a small file of its own; return its address, without a password.

    To log it before anything is seen, and again with its decision, is one evaluation. Raises `KallosError` if the
    model's folder cannot be written.
    """
    name = f"{evaluation.time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{evaluation.evaluation_id}.json"
    return _looks(model_folder).write(name, evaluation.model_dump_json(indent=2) + "\n")


def evaluations_in(model_folder: str) -> tuple[EvaluationRecord, ...]:
    """Return the evaluations that are logged beside a model, by time.

    One that cannot be read is warned of and left out.
    """
    logged = tuple(_logged_in(model_folder))
    for each in logged:
        if each.evaluation is None:
            _log.warning("a hold-out evaluation cannot be read: %s", each.address)
    return tuple(
        sorted(
            (each.evaluation for each in logged if each.evaluation is not None), key=lambda evaluation: evaluation.time
        )
    )


def count_evaluations(folders: Iterable[str], evaluation: EvaluationRecord) -> EvaluationCount:
    """Count the evaluations in models' folders that overlap this one, itself among them once it is recorded.

    A model that was copied, evaluations and all, counts once. An evaluation that cannot be read is counted, and warned
    of, unless the model's manifest says that it is of another asset, target or horizon. Raises `KallosError` if a
    folder cannot be read.
    """
    logged: dict[str, _Logged] = {}
    for folder in folders:
        for each in _logged_in(folder):
            if each.evaluation is not None or each.name not in logged:
                logged[each.name] = each
    counted = [each for each in logged.values() if each.counts_as(evaluation)]
    for each in counted:
        if each.evaluation is None:
            _log.warning("a hold-out evaluation cannot be read, and is counted all the same: %s", each.address)
    tests = {
        (each.model_id, *((each.evaluation.test_start, each.evaluation.test_end) if each.evaluation else (each.name,)))
        for each in counted
    }
    return EvaluationCount(len(counted), len(tests))


def sibling_folders(model_folder: str) -> tuple[str, ...]:
    """Return the folders that lie beside a model's, itself among them; raises `KallosError` as above."""
    path = Folder(model_folder).local
    parent = str(path.resolve().parent) if path is not None else posixpath.dirname(model_folder.rstrip("/"))
    return tuple(posixpath.join(parent, name) for name in Folder(parent, "a folder of models").folders())


@dataclass(frozen=True)
class _Window:
    """First and last moment in seconds, or row numbers."""

    is_rows: bool
    first: float
    last: float

    @classmethod
    def of(cls, start: Timestamp, end: Timestamp) -> Self:
        if isinstance(start, int) and isinstance(end, int):
            return cls(True, start, end)
        return cls(False, _covered(str(start))[0], _covered(str(end))[1])

    def overlaps(self, other: "_Window") -> bool:
        # Row numbers and dates cannot be compared: to count them is the honest side.
        return self.is_rows != other.is_rows or (self.first <= other.last and other.first <= self.last)


def _covered(timestamp: str) -> tuple[float, float]:
    """Return the first and the last moment of an ISO date or time, UTC where it says no other; raises `ValueError`."""
    moment = datetime.fromisoformat(timestamp)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        date.fromisoformat(timestamp)
    except ValueError:
        return seconds, seconds
    return seconds, seconds + 86_400 - 1e-6


@dataclass(frozen=True)
class _Logged:
    """A file of a model's evaluations; `evaluation` is None where it cannot be read."""

    folder: str
    name: str
    evaluation: EvaluationRecord | None

    @property
    def address(self) -> str:
        return _looks(self.folder).address(self.name)

    @property
    def model_id(self) -> str:
        if self.evaluation is not None:
            return self.evaluation.model_id
        return str(self._manifest.get("model_id") or posixpath.basename(self.folder.rstrip("/")))

    def counts_as(self, evaluation: EvaluationRecord) -> bool:
        """Whether it is of the same hold-out, or may be."""
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
    logged = _looks(folder)
    for name in logged.files():
        try:
            evaluation = EvaluationRecord.model_validate_json(logged.read(name) or b"")
        except (ValidationError, KallosError):
            evaluation = None
        yield _Logged(folder, name, evaluation)


def _looks(model_folder: str) -> Folder:
    return Folder(model_folder, "a model's folder") / HOLDOUT_EVALUATIONS
