"""What makes an architecture: its search space, its defaults, and the function that builds a Darts model."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kallos.architectures.losses import get_loss
from kallos.architectures.references import read_loaded
from kallos.architectures.space import Categorical, Constant, Float, Int, Space

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Params = Mapping[str, Any]

# Read now, because editing a file does not change the code of a running process. What is fitted depends on the
# estimators and the GRU too, which are loaded later.
_OWN_FILES = (
    Path(__file__),
    Path(__file__).with_name("losses.py"),
    *sorted((Path(__file__).parent / "estimators").glob("*.py")),
    *sorted((Path(__file__).parent / "gru").glob("*.py")),
)
_OWN_TEXT = b"".join(file.read_bytes() for file in _OWN_FILES)

# Of every architecture that weighs its samples: the rows after which a sample counts half, and the number of last rows
# to train on; 0 for none and all.
HALF_LIFE, TRAIN_ROWS = "half_life", "train_rows"
RECENCY_SPACE: Space = {
    HALF_LIFE: Categorical(choices=(0, 250, 500, 1000)),
    TRAIN_ROWS: Categorical(choices=(0, 500, 1000, 2000)),
}
RECENCY_DEFAULTS: Params = {HALF_LIFE: 0, TRAIN_ROWS: 0}

# How a network's optimizer steps, besides its learning rate. The defaults change nothing: none of them pays on average
# (benchmarks/README.md), so only one is drawn, and study files give choices for the others.
OPTIMIZER_SPACE: Space = {
    # Shrinks the weights at each step: Loshchilov and Hutter (2019), "Decoupled weight decay regularization".
    "weight_decay": Categorical(choices=(0.0, 0.1, 1.0)),
    # The largest norm of a step's gradient, 0 for any: Pascanu et al. (2013), "On the difficulty of training recurrent
    # neural networks".
    "gradient_clip_val": Constant(value=0.0),
    # The learning rate after an epoch, as a share of that before.
    "lr_decay": Constant(value=1.0),
}
OPTIMIZER_DEFAULTS: Params = {"weight_decay": 0.0, "gradient_clip_val": 0.0, "lr_decay": 1.0}

# Parameters that every neural architecture draws after its own.
TRAINING_SPACE: Space = {
    # How many rows a forecast looks back.
    "input_chunk_length": Int(low=20, high=60),
    "batch_size": Categorical(choices=(32, 64, 128)),
    "lr": Float(low=1e-4, high=1e-2, log=True),
    # Lets a model follow a drifting level: Kim et al. (2022), "Reversible instance normalization".
    "use_reversible_instance_norm": Categorical(choices=(False, True)),
    **OPTIMIZER_SPACE,
    **RECENCY_SPACE,
}
TRAINING_DEFAULTS: Params = {
    "input_chunk_length": 30,
    "batch_size": 64,
    "lr": 1e-3,
    "use_reversible_instance_norm": False,
    **OPTIMIZER_DEFAULTS,
    **RECENCY_DEFAULTS,
}


@dataclass(frozen=True)
class Widths:
    """The numbers of columns that a model sees: targets, past covariates, and columns known ahead.

    `added` has the places among the covariates, from 0, of the means and lags that the study adds.
    """

    targets: int = 1
    covariates: int = 0
    known: int = 0
    added: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelContext:
    """What a model needs to know besides its parameters; `quantiles` is None for point forecasts."""

    horizon: int
    lead: int
    max_epochs: int
    seed: int
    widths: Widths
    quantiles: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Architecture:
    """A family of models that can be tuned.

    `space` says what each parameter is drawn from, in order. `defaults` has all parameters that `build` takes, among
    them `input_chunk_length`, the number of rows that a forecast looks back. Without `stops_early`, a model is fitted
    once on all training rows instead of by epochs. `learns_quantiles` says whether it can forecast quantiles. A local
    architecture (`is_local`) knows the targets of one asset alone, without covariates. Unless its model
    `takes_future_covariates`, it reads columns that are known ahead through its input, which must then be as long as
    the horizon. `requires` names an additional package that it needs, and the extra that installs it. `compiles` says
    that its model runs code which is compiled for this processor (`kallos.architectures.gru`).
    """

    name: str
    space: Space
    defaults: Params
    build: Callable[[Params, ModelContext], "GlobalForecastingModel"]
    stops_early: bool = True
    learns_quantiles: bool = True
    is_local: bool = False
    takes_future_covariates: bool = False
    requires: str | None = None
    compiles: bool = False
    _source_sha256: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the code now, when it is loaded."""
        object.__setattr__(self, "_source_sha256", _source_sha256(self.build))

    @property
    def source_sha256(self) -> str:
        """Hash of this module, the estimators and the one with `build`, as loaded; empty if `build` is in no file."""
        return self._source_sha256

    def with_loss(self, loss: str) -> Self:
        """Return the architecture with the parameters of a loss behind its own, if it is trained by epochs."""
        found = get_loss(loss)
        if not (self.stops_early and found.space):
            return self
        other = copy(self)  # `replace` would hash the code as it is now.
        object.__setattr__(other, "space", {**self.space, **found.network_space})
        object.__setattr__(other, "defaults", {**self.defaults, **found.network_defaults})
        return other


def build_network(model: str, params: Params, context: ModelContext) -> "GlobalForecastingModel":
    """Return a Darts torch model by the name of its class."""
    network: GlobalForecastingModel = getattr(import_module("darts.models"), model)(**darts_arguments(params, context))
    return network


def _source_sha256(build: Callable[..., Any]) -> str:
    try:
        text = read_loaded(inspect.getfile(getattr(build, "func", build)))
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(_OWN_TEXT + text).hexdigest()


def darts_arguments(params: Params, context: ModelContext) -> dict[str, Any]:
    """Return the arguments of a Darts torch model that is quiet, runs on the CPU, and writes nothing to disk.

    The parameters have Darts' names, except those of the optimizer: `lr`, and `weight_decay`, `gradient_clip_val` and
    `lr_decay`, which a recipe may leave out.
    """
    from torch.optim import AdamW
    from torch.optim.lr_scheduler import ExponentialLR

    steps = {name: params.get(name, default) for name, default in OPTIMIZER_DEFAULTS.items()}
    # Unlike a schedule over all epochs, a constant rate of decay gives the first epochs the same learning rates
    # whatever `max_epochs` is, also when a model is fitted again for the epochs that early stopping has found.
    decays = steps["lr_decay"] != 1
    return {
        **{name: value for name, value in params.items() if name not in ("lr", *steps)},
        # With a longer output Darts would read future covariates.
        "output_chunk_length": context.horizon,
        "output_chunk_shift": context.lead - 1,
        # Without weight decay the steps of AdamW are Adam's. Fused, all weights take a step in one call.
        "optimizer_cls": AdamW,
        "optimizer_kwargs": {"lr": params["lr"], "weight_decay": steps["weight_decay"], "fused": True},
        "lr_scheduler_cls": ExponentialLR if decays else None,
        "lr_scheduler_kwargs": {"gamma": steps["lr_decay"]} if decays else None,
        "n_epochs": context.max_epochs,
        "random_state": context.seed,
        "save_checkpoints": False,
        "show_warnings": False,
        "pl_trainer_kwargs": {
            "accelerator": "cpu",
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "gradient_clip_val": steps["gradient_clip_val"] or None,
        },
    }
