"""GRU and LSTM: Cho et al. (2014), Hochreiter and Schmidhuber (1997), as Darts' `BlockRNNModel`."""

from functools import partial
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
    from darts.models import BlockRNNModel
    from optuna import Trial

DEFAULTS: Params = {"hidden_dim": 32, "n_rnn_layers": 1, "dropout": 0.0, **TRAINING_DEFAULTS}


def suggest(trial: "Trial") -> dict[str, Any]:
    """Draw a size; dropout acts between layers, so one layer has none."""
    n_layers = trial.suggest_int("n_rnn_layers", 1, 2)
    return {
        "hidden_dim": trial.suggest_int("hidden_dim", 16, 64, log=True),
        "n_rnn_layers": n_layers,
        "dropout": trial.suggest_float("dropout", 0.0, 0.5) if n_layers > 1 else 0.0,
        **suggest_training(trial),
    }


def build(cell: str, params: Params, context: ModelContext) -> "BlockRNNModel":
    """Return a recurrent block model of the named cell."""
    from darts.models import BlockRNNModel

    return BlockRNNModel(
        model=cell,
        hidden_dim=params["hidden_dim"],
        n_rnn_layers=params["n_rnn_layers"],
        dropout=params["dropout"],
        **darts_arguments(params, context),
    )


GRU = Architecture("gru", suggest, DEFAULTS, partial(build, "GRU"))
LSTM = Architecture("lstm", suggest, DEFAULTS, partial(build, "LSTM"))
