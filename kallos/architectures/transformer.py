"""Transformer: Vaswani et al. (2017), as Darts' `TransformerModel`."""

from typing import TYPE_CHECKING, Any

from kallos.architectures.recipe import (
    TRAINING_DEFAULTS,
    Architecture,
    ModelContext,
    Params,
    darts_arguments,
    suggest_training,
)

if TYPE_CHECKING:
    from darts.models import TransformerModel
    from optuna import Trial

DEFAULTS: Params = {
    "d_model": 32,
    "nhead": 4,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dim_feedforward": 64,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


def suggest(trial: "Trial") -> dict[str, Any]:
    """Draw a size; `d_model` is drawn as heads times the width of a head, so that `nhead` divides it."""
    nhead = trial.suggest_categorical("nhead", [1, 2, 4, 8])
    return {
        "d_model": nhead * trial.suggest_categorical("head_width", [4, 8, 16]),
        "nhead": nhead,
        "num_encoder_layers": trial.suggest_int("num_encoder_layers", 1, 3),
        "num_decoder_layers": trial.suggest_int("num_decoder_layers", 1, 2),
        "dim_feedforward": trial.suggest_int("dim_feedforward", 32, 256, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        **suggest_training(trial),
    }


def build(params: Params, context: ModelContext) -> "TransformerModel":
    """Return a transformer."""
    from darts.models import TransformerModel

    return TransformerModel(
        d_model=params["d_model"],
        nhead=params["nhead"],
        num_encoder_layers=params["num_encoder_layers"],
        num_decoder_layers=params["num_decoder_layers"],
        dim_feedforward=params["dim_feedforward"],
        dropout=params["dropout"],
        **darts_arguments(params, context),
    )


TRANSFORMER = Architecture("transformer", suggest, DEFAULTS, build)
