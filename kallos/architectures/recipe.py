"""What an architecture is: its search space, its defaults, and how a Darts model is built from both."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kallos.architectures.references import read_loaded
from kallos.architectures.space import Categorical, Float, Int, Space

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Params = Mapping[str, Any]

# As it is loaded: whoever edits a file of a running process does not change what runs there.
_OWN_TEXT = Path(__file__).read_bytes()

# What every neural architecture here has, drawn behind its own parameters.
TRAINING_SPACE: Space = {
    # Shortest and longest history that a forecast looks back on, in rows.
    "input_chunk_length": Int(low=20, high=60),
    "batch_size": Categorical(choices=(32, 64, 128)),
    "lr": Float(low=1e-4, high=1e-2, log=True),
    # What lets a model follow a level that drifts: Kim et al. (2022), "Reversible instance normalization".
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
    """What a model needs to know beside its parameters."""

    horizon: int
    lead: int
    max_epochs: int
    seed: int
    callbacks: tuple[Any, ...]
    has_covariates: bool = True


@dataclass(frozen=True)
class Architecture:
    """One tunable family of models.

    `space` says what each parameter is drawn from, in order; the keys of `defaults` are all that `build` takes, and
    one of them is `input_chunk_length`, the rows that a forecast looks back on. `build` makes the model. One that is
    not trained by epochs does not stop early: it is fitted once, on all training rows. `requires` names the package
    that it needs beside those of Kallos, and the extra that brings it along.
    """

    name: str
    space: Space
    defaults: Params
    build: Callable[[Params, ModelContext], "GlobalForecastingModel"]
    stops_early: bool = True
    requires: str | None = None
    _source_sha256: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the hash of the code now, when it is loaded."""
        object.__setattr__(self, "_source_sha256", _source_sha256(self.build))

    @property
    def source_sha256(self) -> str:
        """Hash of the code that a model is built by, as it was loaded: this module, and the one that holds `build`.

        Empty for a `build` that is in no file.
        """
        return self._source_sha256


def _source_sha256(build: Callable[..., Any]) -> str:
    try:
        text = read_loaded(inspect.getfile(getattr(build, "func", build)))
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(_OWN_TEXT + text).hexdigest()


def darts_arguments(params: Params, context: ModelContext) -> dict[str, Any]:
    """Return the arguments of a Darts torch model: its parameters, and what all share.

    The parameters have Darts' names, but for `lr`, the optimizer's. A model is quiet, runs on the CPU, and writes
    nothing to disk.
    """
    return {
        **{name: value for name, value in params.items() if name != "lr"},
        # Beyond the horizon Darts would read covariates of the future.
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
