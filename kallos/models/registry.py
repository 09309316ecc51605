"""A registry of models: a folder, or the fsspec URL of one, that holds them beside an index.

Each model is of a slot (asset, target, horizon), and a challenger of it, the champion, or retired. A model is in the
registry once the index names it. On this machine changes come one at a time and survive a kill at any moment; in an
object store that takes one writer.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from filelock import FileLock, Timeout
from pydantic import AliasChoices, BaseModel, Field, PositiveInt, ValidationError

from kallos.errors import KallosError, UsageError, require, require_callable
from kallos.models.holdout_evaluations import HOLDOUT_EVALUATIONS, MANIFEST, EvaluationRecord, evaluations_in
from kallos.models.registry_index import (
    INDEX,
    Change,
    Entry,
    Index,
    ModelId,
    Slot,
    Timestamp,
    TrainedOn,
    Verb,
    first_fault,
    parse_index,
)
from kallos.storage import (
    Folder,
    json_sha256,
)
from kallos.words import did_you_mean, scrubbed, target_label

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class ModelRecord:
    """All that a registry knows of a model; `address` is its folder, without a password."""

    entry: Entry
    history: tuple[Change, ...]
    address: str


class Registry:
    """The models in a folder and what each is to its slot."""

    def __init__(self, folder: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        require(str, folder=folder)
        require_callable(now=now)
        self._folder = Folder(folder, "the registry")
        self._now = now

    @property
    def address(self) -> str:
        """Where the registry is, without a password."""
        return scrubbed(self._folder.url)

    def entries(self) -> tuple[Entry, ...]:
        """Return all models, in the order in which they were added; raises `KallosError` for an index unfit."""
        return self._index().models

    def champion(self, asset_id: str, target: str, horizon: int) -> Entry | None:
        """Return the champion of a slot, or None; raises `KallosError` as above."""
        return self._index().champion(Slot(asset_id=asset_id, target=target, horizon=horizon))

    def before(self, slot: Slot) -> tuple[str, ...]:
        """Return the models to which roll-backs of a slot go, the next one first; raises `KallosError` as above."""
        return self._index().before(slot)[::-1]

    def show(self, model_id: str) -> ModelRecord:
        """Return a model's entry and history; raises `UsageError` if there is none, `KallosError` as above."""
        index = self._index()
        entry = index.entry(model_id)
        history = tuple(change for change in index.history if model_id in (change.model_id, change.replaces))
        return ModelRecord(entry, history, self._folder.address(model_id))

    def folder_of(self, model_id: str) -> str:
        """Return the folder of a model, password and all: for loading, never for showing."""
        return (self._folder / model_id).url

    def folders(self, asset_id: str, target: str, horizon: int) -> tuple[str, ...]:
        """Return the folders of all models of a slot, as above; their evaluations are counted together."""
        slot = Slot(asset_id=asset_id, target=target, horizon=horizon)
        return tuple(self.folder_of(entry.model_id) for entry in self._index().of_slot(slot))

    def holdout_evaluations(self, model_id: str) -> tuple[EvaluationRecord, ...]:
        """Return the evaluations that a model had, by time: logged beside it, or beside the registry's models."""
        folders = (self._folder.url, self.folder_of(model_id))
        found = {evaluation.evaluation_id: evaluation for folder in folders for evaluation in evaluations_in(folder)}
        return tuple(
            sorted(
                (evaluation for evaluation in found.values() if evaluation.model_id == model_id),
                key=lambda evaluation: evaluation.time,
            )
        )

    def slot(self, asset_id: str, target: str | None = None, horizon: int | None = None) -> Slot:
        """Return the one slot that is meant; raises `UsageError` if there is none, or more than one."""
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
                f"asset, target and horizon must mean one slot of the registry, not {len(slots)}: there is "
                f"{'; '.join(map(str, slots))}; give `target` or `horizon`"
            )
        return next(iter(slots))

    def add(self, model_folder: str, reason: str = "") -> Entry:
        """Copy a model into the registry, as a challenger; one that is there already stays what it is.

        The copy's bytes are compared with the source's. Raises `UsageError` for a folder that holds no model, and
        `KallosError` for another model of the same id, or where the registry cannot be read or written.
        """
        entry, files = _read_challenger(model_folder, self._now())
        with self._changing(make=True) as index:
            known = index.find(entry.model_id)
            if known is not None and known.sha256 != entry.sha256:
                raise KallosError(
                    f"a model's id must stand for one content: the registry holds another {entry.model_id}, of "
                    f"{known.since:%Y-%m-%d}, and {scrubbed(model_folder)} differs from it: nothing was changed"
                )
            # A folder that holds this very model may be the source itself.
            if self._is_whole(entry):
                self._copy_evaluations(entry.model_id, files)
            else:
                self._copy(entry, files)
            if known is None:
                self._write(index.added(entry, reason))
        return known or entry

    def promote(self, model_id: str, reason: str) -> Change:
        """Make a model the champion of its slot, and retire the one that was; return the change that did it.

        Nothing is changed if it is the champion already. Raises `UsageError` for an unknown model, and
        `KallosError` if its copy is damaged, or as above.
        """
        with self._changing() as index:
            entry = index.entry(model_id)
            if entry.state == "champion":
                return next(each for each in reversed(index.history) if each.model_id == model_id)
            return self._change(index, "promote", model_id, reason)

    def roll_back(self, of: Slot | str, reason: str) -> Change:
        """Make the champion before the present one the champion again; the present one's id may stand for its slot.

        The next roll-back goes further back. Raises `UsageError` for a model that is not the champion, and
        `KallosError` if none was the champion before, or as above.
        """
        with self._changing() as index:
            slot = of if isinstance(of, Slot) else index.entry(of).slot
            champion = index.champion(slot)
            if isinstance(of, str) and (champion is None or champion.model_id != of):
                now = f"{champion.model_id} is" if champion else "there is none: name the slot"
                raise UsageError(f"a roll-back must be from the champion, not {of}: {now}")
            before = index.before(slot)
            if not before:
                raise KallosError(f"no model of {slot} was the champion before: promote one of its models instead")
            return self._change(index, "roll-back", before[-1], reason)

    def retire(self, model_id: str, reason: str) -> Change:
        """Take a model out of use: roll-backs pass over it, and the slot has no champion if it was that one.

        Raises `UsageError` for an unknown model, or one that was retired before and no roll-back would go to.
        """
        with self._changing() as index:
            entry = index.entry(model_id)
            if entry.state == "retired" and model_id not in index.before(entry.slot):
                raise UsageError(f"a model is retired once, and {model_id} is so since {entry.since:%Y-%m-%d}")
            return self._change(index, "retire", model_id, reason)

    def _change(self, index: Index, verb: Verb, model_id: str, reason: str) -> Change:
        if verb != "retire" and not self._is_whole(index.entry(model_id)):
            raise KallosError(
                f"the copy of a champion must be whole, and {self._folder.address(model_id)} is damaged: add "
                f"the model again from where it was made, or retire it; nothing was changed"
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
        """Hold the registry for the block and yield its index; a folder that is not there is made if so asked."""
        path = self._folder.local
        if path is None or not (make or path.is_dir()):
            yield self._index()
            return
        # An index that is not ours is refused before anything is made beside it.
        self._index()
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / ".lock")
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            raise KallosError(
                f"one process at a time may change a registry, and another has held {path} for "
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
        # Of what a killed copy left, or of a damaged one, the evaluations are kept.
        holdout_evaluations = {name: content for name, content in _read_files(folder).items() if _is_evaluation(name)}
        folder.clear()
        folder.write_all({**holdout_evaluations, **files})
        if not self._is_whole(entry):
            raise KallosError(f"a copy must have the bytes of its source, and that in {scrubbed(folder.url)} has not")

    def _copy_evaluations(self, model_id: str, files: Mapping[str, bytes]) -> None:
        folder = self._folder / model_id
        for name in filter(_is_evaluation, files.keys() - set(folder.files())):
            folder.write(name, files[name])


def _is_evaluation(name: str) -> bool:
    return name.startswith(f"{HOLDOUT_EVALUATIONS}/")


def _read_files(folder: Folder) -> dict[str, bytes]:
    """Return the content of a model's files by their names, the manifest last.

    They are what its manifest declares, the manifest and evaluations; others may lie beside them.
    """
    declared = (folder.read_object(MANIFEST) or {}).get("files") or {}
    own = [name for name in folder.files() if name == MANIFEST or name in declared or _is_evaluation(name)]
    contents = ((name, folder.read(name)) for name in sorted(own, key=lambda name: (name == MANIFEST, name)))
    return {name: content for name, content in contents if content is not None}


def _content(files: Mapping[str, bytes]) -> str:
    """Hash all files but the evaluations, which come later."""
    named = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if not _is_evaluation(name)}
    return json_sha256(named)


class _File(BaseModel):
    sha256: str


class _Manifest(BaseModel):
    """What a registry needs to know of a model; its manifest says more."""

    model_id: ModelId
    asset_id: str
    target: str | tuple[str, ...]
    horizon: PositiveInt
    model_name: str = Field(validation_alias=AliasChoices("model_name", "architecture"))
    data: TrainedOn
    holdout_start: Timestamp | None
    files: dict[str, _File]


def _read_challenger(folder: str, now: datetime) -> tuple[Entry, dict[str, bytes]]:
    """Return the entry that a model's folder makes, and its files; raises `UsageError` if it is no whole model's."""
    source = Folder(folder, "a model directory")
    address = source.address(MANIFEST)
    # What is no model is not read as a whole: it may be any folder.
    content = source.read(MANIFEST)
    if content is None:
        raise UsageError(f"a model's folder must hold {MANIFEST}: there is no {address}")
    try:
        manifest = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(f"{address} must be the manifest of a model: {first_fault(error)}") from None
    files = _read_files(source)
    for name, declared in manifest.files.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != declared.sha256:
            raise UsageError(
                f"a model must be what its manifest says, and {source.address(name)} is "
                f"{'changed' if name in files else 'missing'}: train it again"
            )
    told = {**manifest.model_dump(exclude={"files"}), "target": target_label(manifest.target)}
    return Entry(**told, state="challenger", since=now, sha256=_content(files)), files
