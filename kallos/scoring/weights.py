"""What a model has learnt as bytes, and back: plain tensors by their names, of which loading executes nothing."""

import io
from typing import TYPE_CHECKING, Any

from kallos.errors import DataError, KallosError
from kallos.words import shorten

if TYPE_CHECKING:
    import torch
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

# A tensor of which the length is free: the text of trees.
_TEXT = "trees"


def weights_of(model: "GlobalForecastingModel") -> "dict[str, torch.Tensor]":
    """Return what a fitted model has learnt: a network's state, coefficients of a regression, or the text of trees.

    Raises `KallosError` for a model that is none of these.
    """
    import torch

    learnt = model.model
    if isinstance(learnt, torch.nn.Module):
        # Copies let go of memory that tensors share with each other, and of what hangs on a state dict beside them.
        return {name: value.detach().clone().contiguous() for name, value in learnt.state_dict().items()}
    weights: dict[str, torch.Tensor] = {}
    for place, estimator in enumerate(estimators_of(learnt)):
        if hasattr(estimator, "coef_"):
            weights[f"{place}.coef_"] = torch.tensor(estimator.coef_)
            weights[f"{place}.intercept_"] = torch.tensor(estimator.intercept_)
        elif hasattr(estimator, "booster_"):
            text = estimator.booster_.model_to_string(num_iteration=-1).encode()
            weights[f"{place}.{_TEXT}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        else:
            raise KallosError(
                f"what a model has learnt must be numbers or trees, and {type(estimator).__name__} has none"
            )
    return weights


def weights_bytes(model: "GlobalForecastingModel") -> bytes:
    """Return what a fitted model has learnt in torch's own format, the same bytes for the same weights."""
    import torch

    buffer = io.BytesIO()
    torch.save(weights_of(model), buffer)
    return buffer.getvalue()


def restore_weights(
    model: "GlobalForecastingModel", content: bytes, n_covariates: int, name: str, *, n_targets: int = 1
) -> None:
    """Give a model that was created for no epochs the weights of a file; it forecasts as the one that was trained.

    Raises `DataError` if the file holds anything but the weights of such a model.
    """
    import torch

    from kallos.scoring.training import make_fitted

    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # Torch has no error of its own for a file that is none of its own.
        raise DataError(f"{name} must hold weights and nothing else, and does not: {_first_line(error)}") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f"{name} must hold tensors by their names, and does not")
    make_fitted(model, n_covariates, n_targets)
    expected = weights_of(model)
    differing = [
        str(key)
        for key in sorted(expected.keys() | weights.keys(), key=str)
        if key not in expected or key not in weights or _kind_of(key, expected[key]) != _kind_of(key, weights[key])
    ]
    if differing:
        raise DataError(
            f"{name} must hold the weights of this architecture with these parameters, and does not: "
            f"{shorten(differing, 3)} differ in name, shape or type"
        )
    if isinstance(model.model, torch.nn.Module):
        model.model.load_state_dict(weights, strict=True)
        return
    for place, estimator in enumerate(estimators_of(model.model)):
        prefix = f"{place}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        _restore_estimator(estimator, own)


def estimators_of(learnt: Any) -> list[Any]:
    """Return the regressions of a model: one of each step, or one of them all."""
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
    return shape, tensor.dtype, tensor.layout


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
