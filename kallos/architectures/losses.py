"""The losses that a network can be trained on: those of Kallos, and custom ones.

This module says what a loss is called and what its parameters are drawn from; `estimators.losses` computes it.
"""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from kallos.architectures.references import load_reference, read_loaded
from kallos.architectures.space import KINDS, Float, Space, misplaced
from kallos.errors import UsageError, in_one_line
from kallos.words import did_you_mean, shorten

if TYPE_CHECKING:
    from torch.nn import Module

Params = Mapping[str, Any]

MSE = "mse"
# Before the name of a loss's parameter among those of its network.
PREFIX = "loss_"
# The argument by which a loss asks for the targets' units.
_UNITS = "units"


@dataclass(frozen=True)
class Units:
    """What makes the values that a network forecasts, with the targets as the last axis, those of the study.

    A target, or its logarithm if the study trains on that, is `mean` + `std` * value. `powers` are those of
    `FeatureSpec.variance_powers`. There is one entry per target.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    powers: tuple[int, ...]


@dataclass(frozen=True)
class Loss:
    """A loss: the class that computes it, and what its parameters are drawn from.

    `kind` is the class's name in `estimators.losses`, or a custom class. With `reads_units`, it takes the targets'
    `Units`. `space` and `defaults` have the parameters by the names that the class gives them.
    """

    kind: "str | type[Module]"
    space: Space = field(default_factory=dict)
    defaults: Params = field(default_factory=dict)
    reads_units: bool = False
    source_sha256: str | None = None

    @property
    def network_space(self) -> Space:
        """What a network draws for its loss, after its own parameters."""
        return {f"{PREFIX}{name}": parameter for name, parameter in self.space.items()}

    @property
    def network_defaults(self) -> Params:
        """The defaults of `network_space`."""
        return {f"{PREFIX}{name}": value for name, value in self.defaults.items()}

    def module(self, params: Params, units: Units | None = None) -> "Module":
        """Return the loss of a network with these parameters, as Darts' networks take it.

        Without `units`, targets are taken as they are.
        """
        from kallos.architectures.estimators import losses

        own = {name: params[f"{PREFIX}{name}"] for name in self.defaults}
        if self.reads_units:
            own[_UNITS] = units or Units((0.0,), (1.0,), (1,))
        kind = getattr(losses, self.kind) if isinstance(self.kind, str) else self.kind
        return losses.MeanOfEach(kind(**own))


LOSSES: Mapping[str, Loss] = {
    MSE: Loss("SquaredError"),
    "mae": Loss("AbsoluteError"),
    "huber": Loss("Huber", {"delta": Float(low=0.1, high=3.0, log=True)}, {"delta": 1.0}),
    "directional": Loss(
        "Directional", {"penalty": Float(low=0.1, high=3.0, log=True)}, {"penalty": 0.3}, reads_units=True
    ),
    "qlike": Loss("Qlike", reads_units=True),
}


def get_loss(name: str) -> Loss:
    """Return a loss by its name, or that of a custom `module:Class`; raises `UsageError` if there is none."""
    if ":" in name:
        return _custom(name)
    try:
        return LOSSES[name]
    except KeyError:
        raise UsageError(
            f"loss must be one of {', '.join(LOSSES)}, or module:Class of a custom loss, not {name!r}: "
            f"{did_you_mean(name, LOSSES)}"
        ) from None


def check_loss(name: str) -> str:
    """Return the name of a loss; raises `UsageError` if it is unknown, or a custom one is unsound."""
    get_loss(name)
    return name


def loss_source(name: str) -> str | None:
    """Return the hash of a custom loss's code, None for a built-in loss, whose code is in its architecture's hash.

    It covers the text, as loaded, of the named module and of the one that defines the class, but not their imports.
    """
    return get_loss(name).source_sha256


@cache
def _custom(name: str) -> Loss:
    found = load_reference(name, "loss", "a class")
    torch = sys.modules.get("torch")
    if torch is None or not (inspect.isclass(found) and issubclass(found, torch.nn.Module)):
        what = found.__name__ if inspect.isclass(found) else type(found).__name__
        raise UsageError(f"loss must name a class of torch.nn.Module, and {name!r} is {what}")
    files = {inspect.getfile(sys.modules[name.partition(":")[0]]), inspect.getfile(found)}
    source = hashlib.sha256(b"".join(read_loaded(file) for file in sorted(files))).hexdigest()
    reads_units = _UNITS in inspect.signature(found).parameters
    space, defaults = getattr(found, "space", {}), getattr(found, "defaults", {})
    loss = Loss(cast("type[Module]", found), space, defaults, reads_units, source)
    message = _unsound(loss)
    if message is not None:
        raise UsageError(f"a loss must {message}: fix {name!r}")
    return loss


def _unsound(loss: Loss) -> str | None:
    """Return the rule that a custom loss breaks, or None."""
    import torch

    if not all(isinstance(each, tuple(KINDS.values())) for each in loss.space.values()) or misplaced(loss.space):
        return f"have a space of {shorten([kind.__name__ for kind in KINDS.values()])}, each behind what it depends on"
    lone = sorted(loss.space.keys() ^ loss.defaults.keys())
    if lone:
        return f"have the same parameters in its space and its defaults, and {lone[0]!r} is in one of them"
    forecast = torch.linspace(0.5, 1.5, 6).reshape(2, 3, 1).requires_grad_()
    try:
        module = loss.module(loss.network_defaults)
        module(forecast, torch.ones(2, 3, 1)).backward()
    except Exception as error:
        return f"be made with its defaults, and return a loss for each value and its gradient, not {in_one_line(error)}"
    return None
