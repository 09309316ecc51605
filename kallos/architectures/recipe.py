"""What an architecture is: its search space, its defaults, and how a Darts model is built from both."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
    from optuna import Trial

Params = Mapping[str, Any]

# Shortest and longest history that a forecast looks back on, in rows.
INPUT_CHUNK_LENGTH = (20, 60)
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


@dataclass(frozen=True)
class Architecture:
    """One tunable family of models.

    `suggest` draws a full set of parameters from a trial; the keys of `defaults` are all that there are.
    `build` makes the model. `longest_input` is the largest `input_chunk_length` that `suggest` draws.
    """

    name: str
    suggest: Callable[["Trial"], dict[str, Any]]
    defaults: Params
    build: Callable[[Params, ModelContext], "TorchForecastingModel"]
    longest_input: int = INPUT_CHUNK_LENGTH[1]

    @property
    def source_sha256(self) -> str:
        """Hash of the code that a model is built by: this module, and the one that holds `build`."""
        build = getattr(self.build, "func", self.build)
        files = (Path(__file__), Path(inspect.getfile(build)))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def suggest_training(trial: "Trial") -> dict[str, Any]:
    """Draw the parameters that every neural architecture here has."""
    return {
        "input_chunk_length": trial.suggest_int("input_chunk_length", *INPUT_CHUNK_LENGTH),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        # What lets a model follow a level that drifts: Kim et al. (2022), "Reversible instance normalization".
        "use_reversible_instance_norm": trial.suggest_categorical("use_reversible_instance_norm", [False, True]),
    }


def darts_arguments(params: Params, context: ModelContext) -> dict[str, Any]:
    """Return the arguments that all Darts torch models share: quiet, on the CPU, nothing written to disk."""
    return {
        "input_chunk_length": params["input_chunk_length"],
        # Beyond the horizon Darts would read covariates of the future.
        "output_chunk_length": context.horizon,
        "output_chunk_shift": context.lead - 1,
        "batch_size": params["batch_size"],
        "optimizer_kwargs": {"lr": params["lr"]},
        "use_reversible_instance_norm": params["use_reversible_instance_norm"],
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
