"""The losses of networks, value by value.

A network forecasts f where the target is a, both normalised and of shape (batch, steps, targets). Importing this module
imports torch.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kallos.architectures.losses import Units

# How fast the penalty of `Directional` grows where a forecast crosses zero.
_STEEPNESS = 10.0


class MeanOfEach(nn.Module):
    """The mean of a loss that is computed for each value; with `reduction` none the values, which Darts then weighs."""

    # Darts changes it.
    reduction: Any = "mean"

    def __init__(self, each: Any) -> None:
        super().__init__()
        self._each = each
        if hasattr(each, "reduction"):
            each.reduction = "none"

    def forward(self, forecast: Tensor, actual: Tensor) -> Tensor:
        """Return the loss; raises `ValueError` if that of each value has another shape than the values."""
        if actual.ndim < 3:
            # Before Darts weighs samples it asks for the shape of a matrix's loss, which is no batch of forecasts.
            return actual
        losses: Tensor = self._each(forecast, actual)
        if losses.shape != actual.shape:
            raise ValueError(
                f"a loss must have the shape of the forecasts, {tuple(actual.shape)}, and {type(self._each).__name__} "
                f"has {tuple(losses.shape)}"
            )
        return losses.mean() if self.reduction == "mean" else losses


class SquaredError(nn.MSELoss):
    """(f - a)^2, whose best forecast is the mean."""


class AbsoluteError(nn.L1Loss):
    """|f - a|, whose best forecast is the median."""


class Huber(nn.HuberLoss):
    """(f - a)^2 / 2 up to |f - a| = delta, and delta (|f - a| - delta / 2) beyond, as by Huber (1964).

    "Robust estimation of a location parameter". A large delta gives the squared error, a small one the absolute error.
    """

    def __init__(self, delta: float) -> None:
        super().__init__(delta=delta)


class Directional(nn.Module):
    """(f - a)^2 + penalty * sigmoid(-10 g sign(A)), with the forecast g and the actual value A in own units.

    g is in standard deviations from zero. The sigmoid is a smooth count of wrong signs: near 0 if the forecast lies on
    the side of the actual value, near 1 on the other side, and 1/2, without a gradient, if the actual value is zero.
    All wrong signs count alike, so the forecast leans to the likelier sign, also where a few large moves to the other
    side draw the mean there. A penalty of 1 makes a wrong sign as bad as the target's whole variance.
    """

    _offset: Tensor

    def __init__(self, penalty: float, units: Units) -> None:
        super().__init__()
        self._penalty = penalty
        self.register_buffer("_offset", torch.tensor(units.mean) / torch.tensor(units.std), persistent=False)

    def forward(self, forecast: Tensor, actual: Tensor) -> Tensor:
        """Return the loss of each value."""
        offset = self._offset.to(actual.dtype)
        on_wrong_side = torch.sigmoid(-_STEEPNESS * (forecast + offset) * torch.sign(actual + offset))
        return (forecast - actual).square() + self._penalty * on_wrong_side


class Qlike(nn.Module):
    """exp(p r) - p r - 1, with r the logarithm of the ratio of the actual value to its forecast, of logarithms f and a.

    The power p makes a variance of the target. See `kallos.scoring.metrics` for the source. The best forecast is the
    root of the mean square of a volatility, and the mean of a variance.
    """

    _scale: Tensor

    def __init__(self, units: Units) -> None:
        super().__init__()
        self.register_buffer("_scale", torch.tensor(units.std) * torch.tensor(units.powers), persistent=False)

    def forward(self, forecast: Tensor, actual: Tensor) -> Tensor:
        """Return the loss of each value."""
        excess = self._scale.to(actual.dtype) * (actual - forecast)
        return torch.expm1(excess) - excess
