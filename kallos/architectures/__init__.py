"""The architectures that can be tuned: every `Architecture` in a module of this package, and custom ones."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING

from kallos.architectures.lookup import get_architecture, registry
from kallos.architectures.losses import MSE, Units, get_loss
from kallos.architectures.recipe import (
    RECENCY_DEFAULTS,
    Architecture,
    ModelContext,
    Params,
    Widths,
    darts_arguments,
)
from kallos.architectures.space import Float, Int
from kallos.errors import FitError, UsageError, in_one_line, require, require_whole
from kallos.words import did_you_mean

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel
    from torch.nn import Module

__all__ = [
    "Architecture",
    "ModelContext",
    "Params",
    "Units",
    "Widths",
    "create_model",
    "darts_arguments",
    "get_architecture",
    "registry",
]


def create_model(
    model_name: str,
    params: Params | None = None,
    *,
    horizon: int = 1,
    lead: int = 1,
    max_epochs: int = 30,
    seed: int = 42,
    widths: Widths = Widths(covariates=1),  # noqa: B008
    quantiles: tuple[float, ...] | None = None,
    loss: str = MSE,
    units: Units | None = None,
) -> "GlobalForecastingModel":
    """Return an untrained Darts model that forecasts `horizon` steps at once.

    `params` replace the architecture's defaults. `lead` is the number of rows from the last known target to the first
    forecast step. A regression on lags has to know in advance how many columns it will see. With `quantiles`, the model
    learns these instead of a mean. A network is trained on the `loss`, whose parameters are among `params`; `units` are
    those of the targets that it will see.
    `half_life` and `train_rows` are parameters of the training, not of the model.

    Raises `UsageError` for an unknown architecture, parameter or loss, a loss beside quantiles, or an architecture that
    cannot learn quantiles, and `FitError` for values from which no model can be built.
    """
    require(str, model_name=model_name)
    require((Mapping, type(None)), params=params)
    require_whole(1, horizon=horizon, lead=lead)
    require_whole(0, max_epochs=max_epochs, seed=seed)
    require(Widths, widths=widths)
    require((tuple, list, type(None)), quantiles=quantiles)
    require(str, loss=loss)
    require((Units, type(None)), units=units)
    architecture = get_architecture(model_name).with_loss(loss)
    chosen = {**architecture.defaults, **(params or {})}
    unknown = sorted(chosen.keys() - architecture.defaults.keys())
    if unknown:
        raise UsageError(
            f"{model_name} has no parameter {unknown[0]!r}: {did_you_mean(unknown[0], architecture.defaults)}"
        )
    for name, value in chosen.items():
        drawn = architecture.space[name]
        if isinstance(drawn, Int | Float):
            require(Integral if isinstance(drawn, Int) else Real, **{f"params[{name!r}]": value})
    context = ModelContext(
        horizon=horizon,
        lead=lead,
        max_epochs=max_epochs,
        seed=seed,
        widths=widths,
        quantiles=quantiles,
    )
    if quantiles is not None and not architecture.learns_quantiles:
        raise UsageError(
            f"likelihood 'quantile' needs an architecture that learns quantiles, and {model_name} does not"
        )
    if quantiles is not None and loss != MSE:
        raise UsageError(f"quantiles are learnt by a loss of their own, and loss is {loss!r}: leave one of them out")
    try:
        of_training = (*RECENCY_DEFAULTS, *get_loss(loss).network_defaults)
        model = architecture.build({name: chosen[name] for name in chosen if name not in of_training}, context)
        if loss != MSE and architecture.stops_early:
            return _with_loss(model, get_loss(loss).module(chosen, units))
        return model if quantiles is None else _with_quantiles(model_name, model, quantiles)
    except (ValueError, TypeError, AssertionError) as error:
        given = "params" if quantiles is None else "params or quantiles"
        raise FitError(f"{model_name} cannot be fitted: {in_one_line(error)}: use other {given}") from error


def _with_quantiles(
    model_name: str, model: "GlobalForecastingModel", quantiles: tuple[float, ...]
) -> "GlobalForecastingModel":
    """Return the model if it learns quantiles, or a new network like it with Darts' quantile likelihood as its loss."""
    if model.likelihood is not None:
        return model
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
    from darts.utils.likelihood_models.torch import QuantileRegression

    if not isinstance(model, TorchForecastingModel):
        raise UsageError(f"likelihood 'quantile' needs a network, and {model_name} is {type(model).__name__}")
    return type(model)(**{**model.model_params, "loss_fn": None, "likelihood": QuantileRegression(list(quantiles))})


def _with_loss(model: "GlobalForecastingModel", loss: "Module") -> "GlobalForecastingModel":
    """Return a new network like the model with another loss, however the architecture builds it."""
    return type(model)(**{**model.model_params, "loss_fn": loss, "likelihood": None})
