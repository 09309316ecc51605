"""The index of a model registry: its models, their states, and the history of changes."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from kallos.errors import KallosError, UsageError
from kallos.features.moments import Timestamp
from kallos.words import counted, did_you_mean

FORMAT: Literal["kallos-registry"] = "kallos-registry"
VERSION: Literal[2] = 2

State = Literal["challenger", "champion", "retired"]
Verb = Literal["add", "promote", "roll-back", "retire"]

_BECOMES: Mapping[Verb, State] = {
    "add": "challenger",
    "promote": "champion",
    "roll-back": "champion",
    "retire": "retired",
}

INDEX = "index.json"


def _not_the_index(model_id: str) -> str:
    if model_id == INDEX:
        raise ValueError("must not be the name of the index")
    return model_id


# The name of a model's folder, beside the index.
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_=^+-][A-Za-z0-9_.=^+-]{0,199}$"), AfterValidator(_not_the_index)]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slot(_Stored):
    """What a model forecasts; it has one champion at a time."""

    asset_id: str
    target: str
    horizon: PositiveInt

    def __str__(self) -> str:
        """Return the slot in words."""
        return f"{self.asset_id} {self.target}, {counted(self.horizon, 'step')} ahead"


class TrainedOn(_Stored):
    """The rows that a model was trained on: the part of its manifest's data that a registry needs."""

    model_config = ConfigDict(extra="ignore")

    sha256: str
    rows: int
    start: Timestamp
    end: Timestamp


class Entry(_Stored):
    """A model of the registry, in its state `since` a UTC time; `sha256` is of its files without the evaluations."""

    model_id: ModelId
    asset_id: str
    target: str
    horizon: PositiveInt
    model_name: str
    state: State
    since: datetime
    data: TrainedOn
    holdout_start: Timestamp | None
    sha256: str

    @property
    def slot(self) -> Slot:
        """What it forecasts."""
        return Slot(asset_id=self.asset_id, target=self.target, horizon=self.horizon)


class Change(_Stored):
    """A change of a model's state; `replaces` is the champion that it retires."""

    time: datetime
    verb: Verb
    model_id: str
    from_state: State | None
    to_state: State
    replaces: str | None
    reason: str


class Index(_Stored):
    """All models and all changes; the models' states follow from the changes."""

    format: Literal["kallos-registry"] = FORMAT
    version: Literal[2] = VERSION
    models: tuple[Entry, ...] = ()
    history: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _states_are_what_the_history_comes_to(self) -> Self:
        if len({entry.model_id for entry in self.models}) < len(self.models):
            raise ValueError("a model is in it twice")
        if self._replay.states != {entry.model_id: entry.state for entry in self.models}:
            raise ValueError("the states of its models do not follow from its history")
        return self

    def entry(self, model_id: str) -> Entry:
        """Return a model's entry; raises `UsageError` if there is none."""
        entry = self.find(model_id)
        if entry is None:
            ids = [each.model_id for each in self.models]
            raise UsageError(f"the registry holds no model {model_id!r}: {did_you_mean(model_id, ids)}")
        return entry

    def find(self, model_id: str) -> Entry | None:
        """Return a model's entry, or None."""
        return next((entry for entry in self.models if entry.model_id == model_id), None)

    def of_slot(self, slot: Slot) -> tuple[Entry, ...]:
        """Return the models of a slot."""
        return tuple(entry for entry in self.models if entry.slot == slot)

    def champion(self, slot: Slot) -> Entry | None:
        """Return the champion of a slot, or None."""
        return next((entry for entry in self.of_slot(slot) if entry.state == "champion"), None)

    def before(self, slot: Slot) -> tuple[str, ...]:
        """Return the previous champions, the latest last."""
        return self._replay.lines[slot].before

    def added(self, entry: Entry, reason: str) -> Self:
        """Return the index with another challenger."""
        change = _change("add", entry.model_id, reason, entry.since)
        return type(self)(models=(*self.models, entry), history=(*self.history, change))

    def changed(self, verb: Verb, model_id: str, reason: str, time: datetime) -> Self:
        """Return the index with a model in its new state, and the champion that it replaces retired."""
        entry = self.entry(model_id)
        states = {model_id: _BECOMES[verb]}
        replaced = self.champion(entry.slot) if states[model_id] == "champion" else None
        if replaced is not None:
            states[replaced.model_id] = "retired"
        change = _change(verb, model_id, reason, time, entry.state, replaced.model_id if replaced else None)
        models = tuple(
            each.model_copy(update={"state": states[each.model_id], "since": time}) if each.model_id in states else each
            for each in self.models
        )
        return type(self)(models=models, history=(*self.history, change))

    @property
    def _replay(self) -> "_Replay":
        return _replay(self.history, {entry.model_id: entry.slot for entry in self.models})


def _change(
    verb: Verb,
    model_id: str,
    reason: str,
    time: datetime,
    from_state: State | None = None,
    replaces: str | None = None,
) -> Change:
    return Change(
        time=time,
        verb=verb,
        model_id=model_id,
        from_state=from_state,
        to_state=_BECOMES[verb],
        replaces=replaces,
        reason=reason,
    )


def parse_index(content: bytes, address: str) -> Index:
    """Return the index in a file's content; raises `KallosError` if it is damaged, foreign, or of a newer Kallos."""
    remedy = "put a copy of it back; nothing was changed"
    try:
        found: Any = json.loads(content)
    except ValueError:
        raise KallosError(f"the registry's index must be JSON, and {address} is not: {remedy}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise KallosError(
            f"the registry's index must be one of Kallos, and {address} is not: choose another folder; nothing was "
            f"changed"
        )
    version = found.get("version")
    if isinstance(version, int) and version > VERSION:
        raise KallosError(
            f"the registry's index must have format {VERSION} or lower, and {address} has {version}: update Kallos; "
            f"nothing was changed"
        )
    try:
        return Index.model_validate(found)
    except ValidationError as error:
        message = first_fault(error)
        raise KallosError(f"the registry's index must be intact, and {address} is not: {message}: {remedy}") from None


def first_fault(error: ValidationError) -> str:
    """Return the first of pydantic's findings in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


@dataclass(frozen=True)
class _Line:
    """The champion of a slot, and the previous ones in order."""

    champion: str | None = None
    before: tuple[str, ...] = ()

    def after(self, change: Change) -> "_Line":
        match change.verb:
            case "promote":
                return _Line(change.model_id, (*self.before, *filter(None, [self.champion])))
            case "roll-back":
                return _Line(change.model_id, self.before[:-1])
            case "retire":
                # Without the retired model, a model may follow itself: keep it once.
                whole = (*self.before, *filter(None, [self.champion]))
                line = [model for model, _ in groupby(model for model in whole if model != change.model_id)]
                champion = line.pop() if self.champion in line[-1:] else None
                return _Line(champion, tuple(line))
            case _:
                return self


@dataclass(frozen=True)
class _Replay:
    """The states and champions that follow from a history."""

    states: Mapping[str, State]
    lines: Mapping[Slot, _Line]


def _replay(history: tuple[Change, ...], slots: Mapping[str, Slot]) -> _Replay:
    """Replay the changes; raises `ValueError` if one does not follow from those before it."""
    states: dict[str, State] = {}
    lines: defaultdict[Slot, _Line] = defaultdict(_Line)
    for number, change in enumerate(history, start=1):
        slot = slots.get(change.model_id)
        if slot is None:
            raise ValueError(f"change {number} is of a model that is not in it")
        line = lines[slot]
        replaces = line.champion if change.to_state == "champion" else None
        expected = (states.get(change.model_id), _BECOMES[change.verb], replaces)
        if (change.from_state, change.to_state, change.replaces) != expected or (
            (change.verb == "add") != (change.from_state is None)
        ):
            raise ValueError(f"change {number} does not follow from those before it")
        if change.verb == "roll-back" and line.before[-1:] != (change.model_id,):
            raise ValueError(f"change {number} does not go back to the previous champion")
        if replaces is not None:
            states[replaces] = "retired"
        states[change.model_id] = change.to_state
        lines[slot] = line.after(change)
    return _Replay(states, lines)
