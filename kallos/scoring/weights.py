"""Saving and loading a model's weights as named tensors, which execute no code when they are loaded."""

from typing import TYPE_CHECKING, Any

from kallos.architectures import Widths
from kallos.errors import DataError, KallosError, in_one_line
from kallos.words import shorten

if TYPE_CHECKING:
    import torch
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

# LightGBM's text of its trees.
_TREES = "trees"
# A column-major matrix is stored transposed, so that sums run in the same order after loading, and forecasts are the
# same to the bit.
_TRANSPOSED = ".T"


def weights_of(model: "GlobalForecastingModel") -> "dict[str, torch.Tensor]":
    """Return a fitted model's weights: a network's state, a regression's coefficients, or texts as bytes.

    Raises `KallosError` for other models.
    """
    import torch

    learnt = model.model
    if isinstance(learnt, torch.nn.Module):
        # Copies do not share memory with each other, and drop a state dict's metadata.
        return {name: value.detach().clone().contiguous() for name, value in learnt.state_dict().items()}
    weights: dict[str, torch.Tensor] = {}
    for position, estimator in enumerate(estimators_of(learnt)):
        if hasattr(estimator, "weights"):
            weights |= {f"{position}.{key}": torch.tensor(value) for key, value in estimator.weights().items()}
        elif hasattr(estimator, "coef_"):
            by_column = estimator.coef_.ndim == 2 and not estimator.coef_.flags.c_contiguous
            name = f"{position}.coef_{_TRANSPOSED if by_column else ''}"
            weights[name] = torch.tensor(estimator.coef_.T if by_column else estimator.coef_)
            weights[f"{position}.intercept_"] = torch.tensor(estimator.intercept_)
        elif hasattr(estimator, "booster_"):
            text = estimator.booster_.model_to_string(num_iteration=-1).encode()
            weights[f"{position}.{_TREES}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        else:
            raise KallosError(
                f"a model must have learnt coefficients or trees, and {type(estimator).__name__} has neither"
            )
    return weights


def weights_bytes(model: "GlobalForecastingModel") -> bytes:
    """Return a fitted model's weights in the safetensors format, the same bytes for the same weights."""
    from safetensors.torch import save

    return save(weights_of(model))


def restore_weights(model: "GlobalForecastingModel", content: bytes, widths: Widths, name: str) -> None:
    """Load a file's weights into a model that was created for no epochs.

    Raises `DataError` if the file contains anything but the weights of such a model.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from kallos.scoring.training import make_fitted

    try:
        weights = load(content)
    except SafetensorError as error:
        raise DataError(f"{name} must hold weights and nothing else, and does not: {error}") from None
    make_fitted(model, widths)
    expected, found = _kinds(weights_of(model)), _kinds(weights)
    differing = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    if differing:
        raise DataError(
            f"{name} must hold the weights of this architecture with these parameters, and does not: "
            f"{shorten(differing, 3)} differ in name, shape or type"
        )
    if isinstance(model.model, torch.nn.Module):
        model.model.load_state_dict(weights, strict=True)
        return
    for position, estimator in enumerate(estimators_of(model.model)):
        prefix = f"{position}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        try:
            _restore_estimator(estimator, own)
        except Exception as error:
            # A text may be anything.
            raise DataError(
                f"{name} must hold the weights of this architecture with these parameters, and holds "
                f"{in_one_line(error)}"
            ) from error


def estimators_of(learnt: Any) -> list[Any]:
    """Return the regressions of a model: one per step, or one for all."""
    return list(getattr(learnt, "estimators_", [learnt]))


def _restore_estimator(estimator: Any, weights: "dict[str, torch.Tensor]") -> None:
    if hasattr(estimator, "restore"):
        estimator.restore({key: value.numpy() for key, value in weights.items()})
        return
    if _TREES not in weights:
        for key, value in weights.items():
            matrix = value.T if key.endswith(_TRANSPOSED) else value
            setattr(estimator, key.removesuffix(_TRANSPOSED), matrix.numpy() if matrix.ndim else matrix.item())
        return
    from lightgbm import Booster

    estimator._Booster = Booster(model_str=bytes(weights[_TREES].numpy()).decode())


def _kinds(weights: "dict[str, torch.Tensor]") -> dict[str, tuple[object, ...]]:
    """Return the shape and type of each tensor, regardless of its memory layout; a text has any length."""
    import torch

    kinds: dict[str, tuple[object, ...]] = {}
    for key, value in weights.items():
        tensor = value.T if key.endswith(_TRANSPOSED) else value
        shape = (tensor.ndim,) if tensor.dtype == torch.uint8 else tuple(tensor.shape)
        kinds[key.removesuffix(_TRANSPOSED)] = (shape, tensor.dtype)
    return kinds
