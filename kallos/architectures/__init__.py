"""The architectures that can be tuned: every `Architecture` in a module of this package, by its name."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from kallos.architectures.recipe import Architecture, ModelContext, Params
from kallos.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

__all__ = ["Architecture", "ModelContext", "Params", "create_model", "get_architecture", "registry"]


@cache
def registry() -> Mapping[str, Architecture]:
    """Return all architectures by name. A new module in this package is found without being listed."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found = (entry for module in modules for entry in vars(module).values() if isinstance(entry, Architecture))
    return {architecture.name: architecture for architecture in sorted(found, key=lambda entry: entry.name)}


def get_architecture(name: str) -> Architecture:
    """Return the architecture of that name, or raise `UsageError` with the nearest one."""
    try:
        return registry()[name]
    except KeyError:
        raise UsageError(
            f"model_name must be a known architecture, not {name!r}: {did_you_mean(name, registry())}"
        ) from None


def create_model(
    model_name: str,
    params: Params | None = None,
    *,
    horizon: int = 1,
    lead: int = 1,
    max_epochs: int = 30,
    seed: int = 42,
    make_callbacks: Callable[[], list[Any]] = list,
) -> "TorchForecastingModel":
    """Return an untrained Darts model that forecasts `horizon` steps in one go from past covariates.

    `params` are laid over the architecture's defaults. `lead` is the distance in rows from the last known
    target to the first forecast step. `make_callbacks` makes Lightning callbacks; each model gets its own.

    Raises `UsageError` for an unknown architecture or parameter.
    """
    architecture = get_architecture(model_name)
    chosen = {**architecture.defaults, **(params or {})}
    unknown = sorted(chosen.keys() - architecture.defaults.keys())
    if unknown:
        raise UsageError(
            f"{model_name} has no parameter {unknown[0]!r}: {did_you_mean(unknown[0], architecture.defaults)}"
        )
    context = ModelContext(
        horizon=horizon, lead=lead, max_epochs=max_epochs, seed=seed, callbacks=tuple(make_callbacks())
    )
    return architecture.build(chosen, context)
