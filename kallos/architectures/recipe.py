"""What makes an architecture: its search space, its defaults, and the function that builds a Darts model."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kallos.architectures.references import read_loaded
from kallos.architectures.space import Categorical, Float, Int, Space

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Params = Mapping[str, Any]

# Read now, because editing a file does not change the code of a running process.
_OWN_TEXT = Path(__file__).read_bytes()

# Parameters that every neural architecture draws after its own.
TRAINING_SPACE: Space = {
    # How many rows a forecast looks back.
    "input_chunk_length": Int(low=20, high=60),
    "batch_size": Categorical(choices=(32, 64, 128)),
    "lr": Float(low=1e-4, high=1e-2, log=True),
    # Lets a model follow a drifting level: Kim et al. (2022), "Reversible instance normalization".
    "use_reversible_instance_norm": Categorical(choices=(False, True)),
}
TRAINING_DEFAULTS: Params = {
    "input_chunk_length": 30,
    "batch_size": 64,
    "lr": 1e-3,
    "use_reversible_instance_norm": False,
}


@dataclass(frozen=True)
class ModelContext:
    """What a model needs to know besides its parameters."""

    horizon: int
    lead: int
    max_epochs: int
    seed: int
    callbacks: tuple[Any, ...]
    has_covariates: bool = True


@dataclass(frozen=True)
class Architecture:
    """A family of models that can be tuned.

    `space` says what each parameter is drawn from, in order. `defaults` has all parameters that `build` takes, among
    them `input_chunk_length`, the number of rows that a forecast looks back. Without `stops_early`, a model is fitted
    once on all training rows instead of by epochs. `requires` names an additional package that it needs, and the extra
    that installs it.
    """

    name: str
    space: Space
    defaults: Params
    build: Callable[[Params, ModelContext], "GlobalForecastingModel"]
    stops_early: bool = True
    requires: str | None = None
    _source_sha256: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the code now, when it is loaded."""
        object.__setattr__(self, "_source_sha256", _source_sha256(self.build))

    @property
    def source_sha256(self) -> str:
        """Hash of this module and the one with `build`, as they were loaded; empty if `build` is in no file."""
        return self._source_sha256


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

    The parameters have Darts' names, except `lr`, which goes to the optimizer.
    """
    return {
        **{name: value for name, value in params.items() if name != "lr"},
        # With a longer output Darts would read future covariates.
        "output_chunk_length": context.horizon,
        "output_chunk_shift": context.lead - 1,
        "optimizer_kwargs": {"lr": params["lr"]},
        "n_epochs": context.max_epochs,
        "random_state": context.seed,
        "save_checkpoints": False,
        "show_warnings": False,
        "pl_trainer_kwargs": {
            "accelerator": "cpu",
            "callbacks": list(context.callbacks),
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "logger": False,
            "num_sanity_val_steps": 0,
        },
    }
