"""What a model directory says of itself: where the model comes from, and what each of its files must be."""

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from kallos.architectures.study_space import model_of
from kallos.errors import UsageError
from kallos.features.frequency import Frequency
from kallos.features.moments import Timestamp
from kallos.planning import DataSummary
from kallos.specs.study import TuneSpec
from kallos.storage import json_sha256
from kallos.study.choice import OneStandardError
from kallos.study.names import file_part
from kallos.study.replication import SeedReplication

# Raise this whenever a model directory of before can no longer be read.
FORMAT = 3

Select = Literal["one-se", "best"]
Refit = Literal["inner-validation", "median-epochs"]


def _as_frequency(written: Any) -> Any:
    try:
        return Frequency.of(written) if isinstance(written, str) else written
    except UsageError as error:
        # Only of a ValueError pydantic says which field it is of.
        raise ValueError(str(error)) from None


class Part(BaseModel):
    """A frozen part of a manifest; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(Part):
    """The trial that is trained; `note` says what there is to know of how it was chosen."""

    select: Select
    trial: int
    params: dict[str, Any]
    one_se: OneStandardError | None = None
    note: str | None = None


class MemberRecord(Part):
    """One of the networks whose mean is the forecast: its seed, and the epochs that its weights have seen."""

    seed: int
    epochs: int
    best_epoch: int
    weights: str = Field(pattern=r"^weights-\d+\.safetensors$")


class FileRecord(Part):
    """What a file of the directory must be."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return what a file of this content is."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


class Manifest(Part):
    """All that a model is, but for its weights and scalers, of which it has the hashes.

    `asset_id`, `target`, `horizon` and `lead` are those of the specification. `columns` are those that it takes, the
    targets first. `lead` is the distance in rows from a forecast's origin to its first step.
    """

    format: Literal[3] = 3
    model_id: str = ""
    asset_id: str
    architecture: str
    architecture_sha256: str
    target: str | tuple[str, ...]
    horizon: int
    lead: int
    columns: tuple[str, ...]
    frequency: Annotated[Frequency, BeforeValidator(_as_frequency), PlainSerializer(str)]
    choice: Choice
    seed_replication: SeedReplication | None
    refit: Refit
    members: tuple[MemberRecord, ...] = Field(min_length=1)
    study: str
    data: DataSummary
    train_start: Timestamp
    holdout_start: Timestamp | None
    holdout_end: Timestamp | None
    spec: TuneSpec
    evaluation: int
    versions: dict[str, str]
    machine: dict[str, str]
    files: dict[str, FileRecord]

    @model_validator(mode="after")
    def _one_story(self) -> Self:
        spec = self.spec
        told = (self.asset_id, self.architecture, self.target, self.horizon, self.lead)
        chosen, _ = model_of(spec.model_name, self.choice.params)
        of_spec = (spec.data.asset_id, chosen, spec.features.target, spec.horizon, spec.features.lead)
        if told != of_spec:
            raise ValueError(f"must be that of what stands beside it: {of_spec}, not {told}")
        return self

    @property
    def target_label(self) -> str:
        """What is forecast, in words: the name of a registry's slot has it, too."""
        return self.spec.features.target_label

    def named(self) -> "Manifest":
        """Return the manifest with the id that its content gives it."""
        digest = json_sha256(self.model_dump(mode="json", exclude={"model_id"}))
        return self.model_copy(
            update={"model_id": f"{file_part(self.architecture)}-{file_part(self.asset_id)}-{digest[:16]}"}
        )
