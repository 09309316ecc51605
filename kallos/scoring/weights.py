"""Saving and loading a model's weights as named tensors, which execute no code when they are loaded."""

from typing import TYPE_CHECKING, Any

from kallos.errors import DataError, KallosError
from kallos.words import shorten

if TYPE_CHECKING:
    import torch
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

# The text of trees, a tensor of any length.
_TEXT = "trees"


def weights_of(model: "GlobalForecastingModel") -> "dict[str, torch.Tensor]":
    """Return a fitted model's weights: a network's state, a regression's coefficients, or the text of trees.

    Raises `KallosError` for other models.
    """
    import torch

    learnt = model.model
    if isinstance(learnt, torch.nn.Module):
        # Copies do not share memory with each other, and drop a state dict's metadata.
        return {name: value.detach().clone().contiguous() for name, value in learnt.state_dict().items()}
    weights: dict[str, torch.Tensor] = {}
    for position, estimator in enumerate(estimators_of(learnt)):
        if hasattr(estimator, "coef_"):
            weights[f"{position}.coef_"] = torch.tensor(estimator.coef_).contiguous()
            weights[f"{position}.intercept_"] = torch.tensor(estimator.intercept_)
        elif hasattr(estimator, "booster_"):
            text = estimator.booster_.model_to_string(num_iteration=-1).encode()
            weights[f"{position}.{_TEXT}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        else:
            raise KallosError(
                f"a model must have learnt coefficients or trees, and {type(estimator).__name__} has neither"
            )
    return weights


def weights_bytes(model: "GlobalForecastingModel") -> bytes:
    """Return a fitted model's weights in the safetensors format, the same bytes for the same weights."""
    from safetensors.torch import save

    return save(weights_of(model))


def restore_weights(
    model: "GlobalForecastingModel", content: bytes, n_covariates: int, name: str, *, n_targets: int = 1
) -> None:
    """Load a file's weights into a model that was created for no epochs.

    Raises `DataError` if the file contains anything but the weights of such a model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from kallos.scoring.training import make_fitted

    try:
        weights = load(content)
    except SafetensorError as error:
        raise DataError(f"{name} must hold weights and nothing else, and does not: {error}") from None
    make_fitted(model, n_covariates, n_targets)
    expected = weights_of(model)
    differing = [
        key
        for key in sorted(expected.keys() | weights.keys())
        if key not in expected or key not in weights or _kind_of(key, expected[key]) != _kind_of(key, weights[key])
    ]
    if differing:
        raise DataError(
            f"{name} must hold the weights of this architecture with these parameters, and does not: "
            f"{shorten(differing, 3)} differ in name, shape or type"
        )
    set_weights(model, weights)


def set_weights(model: "GlobalForecastingModel", weights: "dict[str, torch.Tensor]") -> None:
    """Give a fitted model the weights of a model like it.

    Setting a model's own weights lays them out in memory as after loading a file, so that sums run in the same order
    and forecasts are the same to the bit.
    """
    import torch

    if isinstance(model.model, torch.nn.Module):
        model.model.load_state_dict(weights, strict=True)
        return
    for position, estimator in enumerate(estimators_of(model.model)):
        prefix = f"{position}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        _restore_estimator(estimator, own)


def estimators_of(learnt: Any) -> list[Any]:
    """Return the regressions of a model: one per step, or one for all."""
    return list(getattr(learnt, "estimators_", [learnt]))


def _restore_estimator(estimator: Any, weights: "dict[str, torch.Tensor]") -> None:
    if _TEXT not in weights:
        for key, value in weights.items():
            setattr(estimator, key, value.numpy() if value.ndim else value.item())
        return
    from lightgbm import Booster

    estimator._Booster = Booster(model_str=bytes(weights[_TEXT].numpy()).decode())


def _kind_of(key: str, tensor: "torch.Tensor") -> tuple[object, ...]:
    shape = (tensor.ndim,) if key.endswith(f".{_TEXT}") else tuple(tensor.shape)
    return shape, tensor.dtype
