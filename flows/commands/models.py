"""`kallos-run models`: the registry of models: challenger, champion, retired."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.wording import Console, print_json
from kallos.errors import UsageError
from kallos.settings import Settings

if TYPE_CHECKING:
    from kallos.models.registry import Registry
    from kallos.models.registry_index import Change

_Folder = Annotated[
    str | None,
    Parameter(
        name="--registry",
        help="Folder of the registry, or its fsspec URL. [default: KALLOS_REGISTRY, else 'models' in the home]",
        show_default=False,
    ),
]
_Reason = Annotated[str, Parameter(help="Why: kept in the history.")]
_Json = Annotated[bool, Parameter(negative="", help="Print it as JSON.")]
_ModelId = Annotated[str, Parameter(help="Id of a model of the registry.")]
_Asset = Annotated[str | None, Parameter(help="Asset of the slot.", show_default=False)]
_Target = Annotated[str | None, Parameter(help="Target of the slot, where the asset has several.", show_default=False)]
_Horizon = Annotated[
    int | None, Parameter(help="Steps ahead of the slot, where the asset has several.", show_default=False)
]

_BY_HAND = "by hand"


def list_models(*, asset_id: _Asset = None, registry: _Folder = None, json: _Json = False) -> None:
    """List the models, by what they forecast: the champion first, then challengers, then retired ones."""
    opened = _open(registry)
    entries = [entry for entry in opened.entries() if asset_id in (None, entry.asset_id)]
    if json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    if not entries:
        of_asset = "" if asset_id is None else f" of {asset_id}"
        _say(f"no models{of_asset} in {opened.address}: add one with kallos-run models add FOLDER")
        return
    from flows.terminal.models import show_models

    show_models(Console(), entries, opened)


def show(model: _ModelId, /, *, registry: _Folder = None, json: _Json = False) -> None:
    """Show a model: what it is, its hold-out evaluations, and its history."""
    opened = _open(registry)
    record, holdout_evaluations = opened.show(model), opened.holdout_evaluations(model)
    if json:
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
    """Copy a trained model into the registry, as a challenger."""
    opened = _open(registry)
    entry = opened.add(folder, reason)
    _say(f"{entry.model_id} is {_A_STATE[entry.state]} for {entry.slot}, in {opened.address}")


def promote(model: _ModelId, /, *, registry: _Folder = None, reason: _Reason = _BY_HAND) -> None:
    """Make a model the champion for what it forecasts; the one that was is retired."""
    opened = _open(registry)
    _say_champion(opened, opened.promote(model, reason), f"; {_last_verdict(opened, model)}")


def roll_back(
    model: Annotated[str | None, Parameter(help="Id of the champion, to go back from.")] = None,
    /,
    *,
    asset_id: _Asset = None,
    target: _Target = None,
    horizon: _Horizon = None,
    registry: _Folder = None,
    reason: _Reason = _BY_HAND,
) -> None:
    """Make the champion before this one the champion again; once more, and it goes one further back."""
    if (model is None) == (asset_id is None):
        raise UsageError("a roll-back must be of one slot: give the id of its champion, or --asset-id")
    opened = _open(registry)
    slot = opened.slot(asset_id, target, horizon) if asset_id is not None else None
    _say_champion(opened, opened.roll_back(slot or str(model), reason))


def retire(model: _ModelId, /, *, registry: _Folder = None, reason: _Reason = _BY_HAND) -> None:
    """Take a model out of use: roll-backs pass over it."""
    opened = _open(registry)
    change = opened.retire(model, reason)
    slot = opened.show(model).entry.slot
    if change.from_state == "champion":
        _say(f"{model} is retired: {slot} has no champion now")
    else:
        _say(f"{model} is retired: roll-backs pass over it")


_A_STATE = {"challenger": "a challenger", "champion": "the champion", "retired": "retired"}


def _say_champion(registry: "Registry", change: "Change", more: str = "") -> None:
    slot = registry.show(change.model_id).entry.slot
    replaced = f", in place of {change.replaces}" if change.replaces else ""
    _say(f"{change.model_id} is the champion for {slot}{replaced}{more}")


def _last_verdict(registry: "Registry", model: str) -> str:
    """Return in words what the last evaluation of a model said."""
    decided = [evaluation for evaluation in registry.holdout_evaluations(model) if evaluation.decision is not None]
    if not decided:
        return "no evaluation of it is logged here"
    return f"its last evaluation, of {decided[-1].time:%Y-%m-%d}, said {decided[-1].decision!r}"


def _open(folder: str | None) -> "Registry":
    from kallos.models.registry import Registry

    return Registry(folder or Settings.read().registry_folder)


def _say(line: str) -> None:
    Console().print(line, soft_wrap=True)
