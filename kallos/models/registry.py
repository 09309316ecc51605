"""A registry of models: a folder (or fsspec URL) with models and an index.

Each model has a slot (asset, target, horizon), and is its challenger, its champion, or retired. A model is in the
registry once the index names it. In a local folder, changes are made one at a time and survive a kill at any moment. In
an object store this holds with a single writer.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from kallos.errors import KallosError, UsageError, require, require_callable
from kallos.features.moments import Timestamp
from kallos.models.holdout_evaluations import HOLDOUT_EVALUATIONS, MANIFEST, EvaluationRecord, evaluations_in
from kallos.models.registry_index import (
    INDEX,
    Change,
    Entry,
    Index,
    ModelId,
    Slot,
    TrainedOn,
    Verb,
    first_fault,
    parse_index,
)
from kallos.storage import Folder, json_sha256
from kallos.words import did_you_mean, scrubbed, target_label

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class ModelRecord:
    """A model's entry and history; `address` is its folder, without a password."""

    entry: Entry
    history: tuple[Change, ...]
    address: str


class Registry:
    """The models in a folder, and the state of each in its slot."""

    def __init__(self, folder: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        require(str, folder=folder)
        require_callable(now=now)
        self._folder = Folder(folder, "the registry")
        self._now = now

    @property
    def address(self) -> str:
        """The address of the registry, without a password."""
        return scrubbed(self._folder.url)

    def entries(self) -> tuple[Entry, ...]:
        """Return all models in the order of adding; raises `KallosError` if the index cannot be used."""
        return self._index().models

    def champion(self, asset_id: str, target: str, horizon: int) -> Entry | None:
        """Return the champion of a slot, or None; raises `KallosError` as above."""
        return self._index().champion(Slot(asset_id=asset_id, target=target, horizon=horizon))

    def before(self, slot: Slot) -> tuple[str, ...]:
        """Return the models that roll-backs of a slot would reinstate, in order; raises `KallosError` as above."""
        return self._index().before(slot)[::-1]

    def show(self, model_id: str) -> ModelRecord:
        """Return a model's record; raises `UsageError` if there is no such model, `KallosError` as above."""
        index = self._index()
        entry = index.entry(model_id)
        history = tuple(change for change in index.history if model_id in (change.model_id, change.replaces))
        return ModelRecord(entry, history, self._folder.address(model_id))

    def folder_of(self, model_id: str) -> str:
        """Return the folder of a model, including a password: load it, but do not show it."""
        return (self._folder / model_id).url

    def folders(self, asset_id: str, target: str, horizon: int) -> tuple[str, ...]:
        """Return the folders of all models of a slot, including a password."""
        slot = Slot(asset_id=asset_id, target=target, horizon=horizon)
        return tuple(self.folder_of(entry.model_id) for entry in self._index().of_slot(slot))

    def holdout_evaluations(self, model_id: str) -> tuple[EvaluationRecord, ...]:
        """Return a model's evaluations by time: those in its own folder and those in the registry's folder."""
        logged = (*evaluations_in(self._folder.url), *evaluations_in(self.folder_of(model_id)))
        found = {each.evaluation_id: each for each in logged if each.model_id == model_id}
        return tuple(sorted(found.values(), key=lambda evaluation: evaluation.time))

    def slot(self, asset_id: str, target: str | None = None, horizon: int | None = None) -> Slot:
        """Return the one slot that matches; raises `UsageError` if none or several do."""
        slots = {
            entry.slot: None
            for entry in self._index().models
            if entry.asset_id == asset_id and target in (None, entry.target) and horizon in (None, entry.horizon)
        }
        if len(slots) != 1:
            if not slots:
                assets = sorted({entry.asset_id for entry in self._index().models})
                raise UsageError(f"there is no such model of {asset_id!r}: {did_you_mean(asset_id, assets)}")
            raise UsageError(
                f"asset, target and horizon must match one slot of the registry, and {len(slots)} match: "
                f"{'; '.join(map(str, slots))}; set `target` or `horizon`"
            )
        return next(iter(slots))

    def add(self, model_folder: str, reason: str = "") -> Entry:
        """Copy a model into the registry as a challenger; a model that is already in it keeps its state.

        The copy is compared with the source. Raises `UsageError` for a folder without a model, and `KallosError` if the
        registry has another model with the same id, or cannot be read or written.
        """
        entry, files = _read_challenger(model_folder, self._now())
        with self._changing(make=True) as index:
            known = index.find(entry.model_id)
            if known is not None and known.sha256 != entry.sha256:
                raise KallosError(
                    f"a model's id must be unique, and the registry holds another {entry.model_id}, of "
                    f"{known.since:%Y-%m-%d}, that differs from {scrubbed(model_folder)}: nothing was changed"
                )
            # An intact copy may be the source itself.
            if self._is_whole(entry):
                self._copy_evaluations(entry.model_id, files)
            else:
                self._copy(entry, files)
            if known is None:
                self._write(index.added(entry, reason))
        return known or entry

    def promote(self, model_id: str, reason: str) -> Change:
        """Make a model the champion of its slot and retire the previous one; return the change.

        If it is already the champion, return the change that made it so. Raises `UsageError` for an unknown model, and
        `KallosError` if its copy is damaged, or as above.
        """
        with self._changing() as index:
            entry = index.entry(model_id)
            if entry.state == "champion":
                return next(each for each in reversed(index.history) if each.model_id == model_id)
            return self._change(index, "promote", model_id, reason)

    def roll_back(self, of: Slot | str, reason: str) -> Change:
        """Reinstate the previous champion of a slot, which may be given by the id of its champion.

        The next roll-back goes further back. Raises `UsageError` for a model that is not the champion, and
        `KallosError` if there is no previous champion, or as above.
        """
        with self._changing() as index:
            slot = of if isinstance(of, Slot) else index.entry(of).slot
            champion = index.champion(slot)
            if isinstance(of, str) and (champion is None or champion.model_id != of):
                now = f"{champion.model_id} is the champion" if champion else "the slot has no champion; give the slot"
                raise UsageError(f"a roll-back must be from the champion, not {of}: {now}")
            before = index.before(slot)
            if not before:
                raise KallosError(f"{slot} has no previous champion: promote one of its models instead")
            return self._change(index, "roll-back", before[-1], reason)

    def retire(self, model_id: str, reason: str) -> Change:
        """Take a model out of use: roll-backs skip it, and if it was the champion, the slot has none.

        Raises `UsageError` for an unknown model, or a retired one that no roll-back would reinstate.
        """
        with self._changing() as index:
            entry = index.entry(model_id)
            if entry.state == "retired" and model_id not in index.before(entry.slot):
                raise UsageError(f"a model can be retired once, and {model_id} was retired on {entry.since:%Y-%m-%d}")
            return self._change(index, "retire", model_id, reason)

    def _change(self, index: Index, verb: Verb, model_id: str, reason: str) -> Change:
        if verb != "retire" and not self._is_whole(index.entry(model_id)):
            raise KallosError(
                f"the copy of a champion must be intact, and {self._folder.address(model_id)} is damaged: add "
                f"the model again from its original folder, or retire it; nothing was changed"
            )
        changed = index.changed(verb, model_id, reason, self._now())
        self._write(changed)
        return changed.history[-1]

    def _index(self) -> Index:
        content = self._folder.read(INDEX)
        return Index() if content is None else parse_index(content, self._folder.address(INDEX))

    def _write(self, index: Index) -> None:
        self._folder.write(INDEX, index.model_dump_json(indent=2) + "\n")

    @contextmanager
    def _changing(self, *, make: bool = False) -> Iterator[Index]:
        """Lock the registry for the block and yield its index; `make` creates a missing folder."""
        path = self._folder.local
        if path is None or not (make or path.is_dir()):
            yield self._index()
            return
        # Refuse a foreign index before creating anything next to it.
        self._index()
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / ".lock")
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            raise KallosError(
                f"one process at a time can change a registry, and another has locked {path} for "
                f"{_PATIENCE_SECONDS:.0f} s: try again when it has ended"
            ) from None
        except (OSError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise KallosError(f"the registry must be writable: {path}: {reason}") from None
        try:
            self._folder.remove_unfinished()
            yield self._index()
        finally:
            lock.release()

    def _is_whole(self, entry: Entry) -> bool:
        return _content(_read_files(self._folder / entry.model_id)) == entry.sha256

    def _copy(self, entry: Entry, files: Mapping[str, bytes]) -> None:
        folder = self._folder / entry.model_id
        # Keep the evaluations of an unfinished or damaged copy.
        holdout_evaluations = {name: content for name, content in _read_files(folder).items() if _is_evaluation(name)}
        folder.clear()
        folder.write_all({**holdout_evaluations, **files})
        if not self._is_whole(entry):
            raise KallosError(f"the copy in {scrubbed(folder.url)} differs from its source: add the model again")

    def _copy_evaluations(self, model_id: str, files: Mapping[str, bytes]) -> None:
        folder = self._folder / model_id
        for name in filter(_is_evaluation, files.keys() - set(folder.files())):
            folder.write(name, files[name])


def _is_evaluation(name: str) -> bool:
    return name.startswith(f"{HOLDOUT_EVALUATIONS}/")


def _read_files(folder: Folder) -> dict[str, bytes]:
    """Return the content of a model's files by name: those in its manifest and the evaluations, the manifest last."""
    declared = (folder.read_object(MANIFEST) or {}).get("files") or {}
    own = [name for name in folder.files() if name == MANIFEST or name in declared or _is_evaluation(name)]
    contents = ((name, folder.read(name)) for name in sorted(own, key=lambda name: (name == MANIFEST, name)))
    return {name: content for name, content in contents if content is not None}


def _content(files: Mapping[str, bytes]) -> str:
    """Return the hash of all files but the evaluations, which are added later."""
    named = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if not _is_evaluation(name)}
    return json_sha256(named)


class _File(BaseModel):
    sha256: str


class _Manifest(BaseModel):
    """The part of a model's manifest that a registry needs."""

    model_id: ModelId
    asset_id: str
    target: str | tuple[str, ...]
    horizon: PositiveInt
    model_name: str = Field(validation_alias="model_label")
    data: TrainedOn
    holdout_start: Timestamp | None
    files: dict[str, _File]


def _read_challenger(folder: str, now: datetime) -> tuple[Entry, dict[str, bytes]]:
    """Return the entry and the files of a model's folder; raises `UsageError` if it is not that of an intact model."""
    source = Folder(folder, "a model directory")
    address = source.address(MANIFEST)
    # Read only the manifest first: any folder may be given.
    content = source.read(MANIFEST)
    if content is None:
        raise UsageError(
            f"a model's folder must hold {MANIFEST}: there is no {address}; choose one that 'kallos-run train' wrote"
        )
    try:
        manifest = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(f"{address} must be the manifest of a model: {first_fault(error)}") from None
    files = _read_files(source)
    for name, declared in manifest.files.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != declared.sha256:
            raise UsageError(
                f"the files of a model must match its manifest, and {source.address(name)} is "
                f"{'changed' if name in files else 'missing'}: train it again"
            )
    told = {**manifest.model_dump(exclude={"files"}), "target": target_label(manifest.target)}
    return Entry(**told, state="challenger", since=now, sha256=_content(files)), files
