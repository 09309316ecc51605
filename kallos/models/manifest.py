"""The manifest of a model directory: the origin of the model, and the hash of each of its files."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PositiveFloat, model_validator

from kallos.architectures.study_space import model_of
from kallos.errors import UsageError
from kallos.features.frequency import Frequency
from kallos.features.moments import Timestamp
from kallos.planning import DataSummary
from kallos.specs.study import TuneSpec
from kallos.storage import json_sha256
from kallos.study.choice import Choice as Choice
from kallos.study.names import file_part
from kallos.study.replication import SeedReplication

# Raise this when earlier model directories can no longer be read.
FORMAT = 5

Refit = Literal["inner-validation", "median-epochs"]


def _as_frequency(written: Any) -> Any:
    try:
        return Frequency.of(written) if isinstance(written, str) else written
    except UsageError as error:
        # Pydantic adds the field's name only to a ValueError.
        raise ValueError(str(error)) from None


class Part(BaseModel):
    """A frozen part of a manifest; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberRecord(Part):
    """One of the fitted models whose weighted mean is the forecast: a trial with a seed.

    `best_epoch` is the epoch that its weights come from, `to_median` has the ratios of a forecast's mean and of its
    root mean square to its median, for each step and target. `weight` is that in the mean of all; `preparation` and
    `weights` are names of files.
    """

    trial: int
    architecture: str
    architecture_sha256: str
    seed: int
    weight: PositiveFloat
    epochs: int
    best_epoch: int
    to_median: tuple[tuple[tuple[PositiveFloat, ...], ...], ...]
    preparation: str = Field(pattern=r"^preparation-\d+\.json$")
    weights: str = Field(pattern=r"^weights-\d+-\d+\.safetensors$")

    @property
    def label(self) -> str:
        """The name of the member, its trial and its seed: `3-42`."""
        return f"{self.trial}-{self.seed}"


class FileRecord(Part):
    """The hash and size of a file of the directory."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the record of a file with this content."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


class Manifest(Part):
    """Everything about a model except its weights and scalers, of which it has the hashes.

    `asset_id`, `target`, `horizon` and `lead` repeat the specification. `model_label` names the architectures of the
    members for people: `ridge+tide`. `columns` are the input columns, targets first. `lead` is the number of rows from
    the origin of a forecast to its first step.
    """

    format: Literal[5] = 5
    model_id: str = ""
    asset_id: str
    model_label: str
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
        spec, chosen = self.spec, self.choice.members
        label = model_label(member.architecture for member in self.members)
        told = (self.asset_id, self.model_label, self.target, self.horizon, self.lead)
        of_spec = (spec.data.asset_id, label, spec.features.target, spec.horizon, spec.features.lead)
        if told != of_spec:
            raise ValueError(f"must agree with the other fields: {of_spec}, not {told}")
        weights: defaultdict[tuple[int, str], float] = defaultdict(float)
        for record in self.members:
            weights[record.trial, record.architecture] += record.weight
        expected = {(each.trial, model_of(spec.model_name, each.params)[0]): each.weight for each in chosen}
        if weights.keys() != expected.keys() or not all(
            math.isclose(weight, expected[key]) for key, weight in weights.items()
        ):
            raise ValueError(f"members must be those of the choice, {expected}, not {dict(weights)}")
        return self

    @property
    def target_label(self) -> str:
        """The names of the targets, as in the slot of a registry."""
        return self.spec.features.target_label

    def named(self) -> "Manifest":
        """Return the manifest with the id that follows from its content."""
        digest = json_sha256(self.model_dump(mode="json", exclude={"model_id"}))
        return self.model_copy(
            update={"model_id": f"{file_part(self.model_label, also='+')}-{file_part(self.asset_id)}-{digest[:16]}"}
        )


def model_label(architectures: Iterable[str]) -> str:
    """Return the architectures of the members of a model for people: `gru`, `ridge+tide`."""
    return "+".join(sorted(set(architectures)))
