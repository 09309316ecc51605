"""GRU, LSTM and plain RNN, as Darts' `BlockRNNModel`.

Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder"; Hochreiter and Schmidhuber (1997),
"Long short-term memory"; Elman (1990), "Finding structure in time".
"""

from functools import partial
from typing import TYPE_CHECKING

from kallos.architectures.recipe import (
    TRAINING_DEFAULTS,
    TRAINING_SPACE,
    Architecture,
    ModelContext,
    Params,
    darts_arguments,
)
from kallos.architectures.space import Float, Int, Space, When

if TYPE_CHECKING:
    from darts.models import BlockRNNModel
    from darts.models.forecasting.block_rnn_model import CustomBlockRNNModule

SPACE: Space = {
    "n_rnn_layers": Int(low=1, high=2),
    "hidden_dim": Int(low=16, high=64, log=True),
    # Dropout acts between layers, so a single layer has none.
    "dropout": Float(low=0.0, high=0.5, when=When(parameter="n_rnn_layers", above=1), otherwise=0.0),
    **TRAINING_SPACE,
}
DEFAULTS: Params = {"hidden_dim": 32, "n_rnn_layers": 1, "dropout": 0.0, **TRAINING_DEFAULTS}


def build(cell: "str | type[CustomBlockRNNModule]", params: Params, context: ModelContext) -> "BlockRNNModel":
    """Return a recurrent block model with this cell, one of torch's or a network of its own."""
    from darts.models import BlockRNNModel

    return BlockRNNModel(model=cell, **darts_arguments(params, context))


def build_gru(params: Params, context: ModelContext) -> "BlockRNNModel":
    """Return a recurrent block model with a GRU in compiled loops."""
    from kallos.architectures.gru.module import GRUModule

    return build(GRUModule, params, context)


GRU = Architecture("gru", SPACE, DEFAULTS, build_gru, takes_future_covariates=True, compiles=True)
LSTM = Architecture("lstm", SPACE, DEFAULTS, partial(build, "LSTM"), takes_future_covariates=True)
RNN = Architecture("rnn", SPACE, DEFAULTS, partial(build, "RNN"), takes_future_covariates=True)
