"""The architectures that can be tuned: every `Architecture` in a module of this package, by its name, and one's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kallos.architectures.lookup import get_architecture, registry
from kallos.architectures.recipe import Architecture, ModelContext, Params, darts_arguments
from kallos.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

__all__ = ["Architecture", "ModelContext", "Params", "create_model", "darts_arguments", "get_architecture", "registry"]


def create_model(
    model_name: str,
    params: Params | None = None,
    *,
    horizon: int = 1,
    lead: int = 1,
    max_epochs: int = 30,
    seed: int = 42,
    make_callbacks: Callable[[], list[Any]] = list,
    has_covariates: bool = True,
) -> "GlobalForecastingModel":
    """Return an untrained Darts model that forecasts `horizon` steps in one go from past covariates.

    `params` are laid over the architecture's defaults. `lead` is the distance in rows from the last known
    target to the first forecast step. `make_callbacks` makes Lightning callbacks; each model gets its own. A regression
    on lags has to know beforehand if it will see covariates.

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
        horizon=horizon,
        lead=lead,
        max_epochs=max_epochs,
        seed=seed,
        callbacks=tuple(make_callbacks()),
        has_covariates=has_covariates,
    )
    return architecture.build(chosen, context)
