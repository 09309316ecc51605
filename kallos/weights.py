"""A network's weights as bytes, and back: plain tensors by their names, of which loading executes nothing."""

import io
from typing import TYPE_CHECKING

from kallos.errors import DataError, shorten

if TYPE_CHECKING:
    import torch
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel


def weights_bytes(model: "TorchForecastingModel") -> bytes:
    """Return a fitted model's weights in torch's own format, the same bytes for the same weights."""
    import torch

    from kallos.training import module_of

    # Copies let go of memory that tensors share with each other, and of what hangs on a state dict beside them.
    weights = {name: value.detach().clone().contiguous() for name, value in module_of(model).state_dict().items()}
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def restore_weights(model: "TorchForecastingModel", content: bytes, n_covariates: int, name: str) -> None:
    """Give a model that was created for no epochs the weights of a file; it forecasts as the one that was trained.

    Raises `DataError` if the file holds anything but the weights of such a model.
    """
    import torch

    from kallos.training import make_module

    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # Torch has no error of its own for a file that is none of its own.
        raise DataError(f"{name} must hold weights and nothing else, and does not: {_first_line(error)}") from None
    module = make_module(model, n_covariates)
    expected = module.state_dict()
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f"{name} must hold tensors by their names, and does not")
    differing = [
        str(key)
        for key in sorted(expected.keys() | weights.keys(), key=str)
        if key not in expected or key not in weights or _kind_of(expected[key]) != _kind_of(weights[key])
    ]
    if differing:
        raise DataError(
            f"{name} must hold the weights of this architecture with these parameters, and does not: "
            f"{shorten(differing, 3)} differ in name, shape or type"
        )
    module.load_state_dict(weights, strict=True)


def _kind_of(tensor: "torch.Tensor") -> tuple[object, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.layout


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
