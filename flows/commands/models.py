"""`kallos-run models`: the registry of models."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.wording import AsJson, Console, print_json, say
from kallos.errors import UsageError
from kallos.settings import Settings

if TYPE_CHECKING:
    from kallos.models.registry import Registry
    from kallos.models.registry_index import Change

_Folder = Annotated[
    str | None,
    Parameter(
        name="--registry",
        help="Folder of the registry, or its fsspec URL. [default: KALLOS_REGISTRY, or else 'models' in KALLOS_HOME]",
    ),
]
_Reason = Annotated[str, Parameter(help="Reason, stored in the history.")]
_ModelId = Annotated[str, Parameter(help="Id of a model in the registry.")]
_Asset = Annotated[str | None, Parameter(help="Asset of the slot.")]
_Target = Annotated[str | None, Parameter(help="Target of the slot, if the asset has several.")]
_Horizon = Annotated[int | None, Parameter(help="Horizon of the slot, if the asset has several.")]

_BY_HAND = "by hand"


def list_all(*, asset_id: _Asset = None, registry: _Folder = None, as_json: AsJson = False) -> None:
    """List the models of each slot: champion, challengers, retired models."""
    opened = _open(registry)
    entries = [entry for entry in opened.entries() if asset_id in (None, entry.asset_id)]
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    if not entries:
        of_asset = "" if asset_id is None else f" of {asset_id}"
        say(f"no models{of_asset} in {opened.address}: add one with 'kallos-run models add FOLDER'")
        return
    from flows.terminal.models import show_models

    show_models(Console(), entries, opened)


def show(model: _ModelId, /, *, registry: _Folder = None, as_json: AsJson = False) -> None:
    """Show a model, its hold-out evaluations and its history."""
    opened = _open(registry)
    record, holdout_evaluations = opened.show(model), opened.holdout_evaluations(model)
    if as_json:
        print_json(
            {
                "model": record.entry.model_dump(mode="json"),
                "address": record.address,
                "holdout_evaluations": [evaluation.model_dump(mode="json") for evaluation in holdout_evaluations],
                "history": [change.model_dump(mode="json") for change in record.history],
            }
        )
        return
    from flows.terminal.models import show_model

    show_model(Console(), record, holdout_evaluations)


def add(
    folder: Annotated[str, Parameter(help="Folder of a trained model, or its fsspec URL.")],
    /,
    *,
    registry: _Folder = None,
    reason: _Reason = _BY_HAND,
) -> None:
    """Copy a trained model into the registry as a challenger."""
    opened = _open(registry)
    entry = opened.add(folder, reason)
    say(f"{entry.model_id} is {_A_STATE[entry.state]} for {entry.slot}, in {opened.address}")


def promote(model: _ModelId, /, *, registry: _Folder = None, reason: _Reason = _BY_HAND) -> None:
    """Make a model the champion of its slot, and retire the previous champion."""
    opened = _open(registry)
    _say_champion(opened, opened.promote(model, reason), f"; {_last_verdict(opened, model)}")


def roll_back(
    model: Annotated[str | None, Parameter(help="Id of the current champion.")] = None,
    /,
    *,
    asset_id: _Asset = None,
    target: _Target = None,
    horizon: _Horizon = None,
    registry: _Folder = None,
    reason: _Reason = _BY_HAND,
) -> None:
    """Reinstate the previous champion.

    Each further roll-back goes one champion further back.
    """
    if (model is None) == (asset_id is None):
        raise UsageError("a roll-back needs one slot: give the id of its champion, or --asset-id")
    opened = _open(registry)
    slot = opened.slot(asset_id, target, horizon) if asset_id is not None else None
    _say_champion(opened, opened.roll_back(slot or str(model), reason))


def retire(model: _ModelId, /, *, registry: _Folder = None, reason: _Reason = _BY_HAND) -> None:
    """Retire a model, so that roll-backs skip it."""
    opened = _open(registry)
    change = opened.retire(model, reason)
    slot = opened.show(model).entry.slot
    if change.from_state == "champion":
        say(f"{model} is retired: {slot} now has no champion")
    else:
        say(f"{model} is retired: roll-backs skip it")


_A_STATE = {"challenger": "a challenger", "champion": "the champion", "retired": "retired"}


def _say_champion(registry: "Registry", change: "Change", more: str = "") -> None:
    slot = registry.show(change.model_id).entry.slot
    replaced = f", in place of {change.replaces}" if change.replaces else ""
    say(f"{change.model_id} is the champion for {slot}{replaced}{more}")


def _last_verdict(registry: "Registry", model: str) -> str:
    """Return a sentence with the decision of a model's last evaluation."""
    decided = [evaluation for evaluation in registry.holdout_evaluations(model) if evaluation.decision is not None]
    if not decided:
        return "it has no logged evaluation"
    return f"its last evaluation, of {decided[-1].time:%Y-%m-%d}, said {decided[-1].decision!r}"


def _open(folder: str | None) -> "Registry":
    from kallos.models.registry import Registry

    return Registry(folder or Settings.read().registry_folder)
