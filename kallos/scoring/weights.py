"""Saving and loading a model's weights as named tensors, which execute no code when they are loaded."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kallos.architectures import Widths
from kallos.errors import DataError, KallosError, in_one_line
from kallos.scoring.training import make_fitted
from kallos.words import shorten

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Weights = dict[str, npt.NDArray[Any]]

# LightGBM's text of its trees.
_TREES = "trees"
# A column-major matrix is stored transposed, so that sums run in the same order after loading, and forecasts are the
# same to the bit.
_TRANSPOSED = ".T"


def weights_of(model: "GlobalForecastingModel") -> Weights:
    """Return a fitted model's weights: a network's state, a regression's coefficients, or texts as bytes.

    Raises `KallosError` for other models.
    """
    learnt = model.model
    if _is_module(learnt):
        return {name: value.detach().cpu().numpy() for name, value in learnt.state_dict().items()}
    weights: Weights = {}
    for position, estimator in enumerate(estimators_of(learnt)):
        if hasattr(estimator, "weights"):
            weights |= {f"{position}.{key}": value for key, value in estimator.weights().items()}
        elif hasattr(estimator, "coef_"):
            by_column = estimator.coef_.ndim == 2 and not estimator.coef_.flags.c_contiguous
            name = f"{position}.coef_{_TRANSPOSED if by_column else ''}"
            weights[name] = estimator.coef_.T if by_column else estimator.coef_
            weights[f"{position}.intercept_"] = np.asarray(estimator.intercept_)
        elif hasattr(estimator, "booster_"):
            text = estimator.booster_.model_to_string(num_iteration=-1).encode()
            weights[f"{position}.{_TREES}"] = np.frombuffer(text, np.uint8)
        else:
            raise KallosError(
                f"a model must have learnt coefficients or trees, and {type(estimator).__name__} has neither"
            )
    return weights


def are_finite(model: "GlobalForecastingModel") -> bool:
    """Return whether all weights of a fitted model are finite numbers."""
    return all(bool(np.isfinite(value).all()) for value in weights_of(model).values())


def weights_bytes(model: "GlobalForecastingModel") -> bytes:
    """Return a fitted model's weights in the safetensors format, the same bytes for the same weights."""
    from safetensors.numpy import save

    # Safetensors writes memory as it lies.
    return save({name: np.array(value, order="C") for name, value in weights_of(model).items()})


def restore_weights(model: "GlobalForecastingModel", content: bytes, widths: Widths, name: str) -> None:
    """Load a file's weights into a model that was created for no epochs.

    Raises `DataError` if the file contains anything but the weights of such a model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

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
    if _is_module(model.model):
        from torch import from_numpy

        model.model.load_state_dict({key: from_numpy(value) for key, value in weights.items()}, strict=True)
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


def _is_module(learnt: Any) -> bool:
    """Return whether what a model has learnt is a network, without importing torch."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(learnt, torch.nn.Module)


def _restore_estimator(estimator: Any, weights: Weights) -> None:
    if hasattr(estimator, "restore"):
        estimator.restore(weights)
        return
    if _TREES not in weights:
        for key, value in weights.items():
            matrix = value.T if key.endswith(_TRANSPOSED) else value
            setattr(estimator, key.removesuffix(_TRANSPOSED), matrix if matrix.ndim else matrix.item())
        return
    from lightgbm import Booster

    estimator._Booster = Booster(model_str=weights[_TREES].tobytes().decode())


def _kinds(weights: Weights) -> dict[str, tuple[object, ...]]:
    """Return the shape and type of each array, regardless of its memory layout; a text has any length."""
    kinds: dict[str, tuple[object, ...]] = {}
    for key, value in weights.items():
        array = value.T if key.endswith(_TRANSPOSED) else value
        shape = (array.ndim,) if array.dtype == np.uint8 else array.shape
        kinds[key.removesuffix(_TRANSPOSED)] = (shape, array.dtype)
    return kinds
