"""Temporal fusion transformer, as Darts' `TFTModel`.

Lim et al. (2021), "Temporal fusion transformers for interpretable multi-horizon time series forecasting".
"""

from typing import TYPE_CHECKING

from kallos.architectures.recipe import (
    TRAINING_DEFAULTS,
    TRAINING_SPACE,
    Architecture,
    ModelContext,
    Params,
    darts_arguments,
)
from kallos.architectures.space import Categorical, Float, Int, Product, Space

if TYPE_CHECKING:
    from darts.models import TFTModel

SPACE: Space = {
    # The width is a product, because it must be a multiple of the number of heads.
    "num_attention_heads": Categorical(choices=(1, 2, 4)),
    "head_width": Categorical(choices=(4, 8, 16)),
    "hidden_size": Product(of=("num_attention_heads", "head_width")),
    "lstm_layers": Int(low=1, high=2),
    "hidden_continuous_size": Int(low=4, high=16, log=True),
    "full_attention": Categorical(choices=(False, True)),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
DEFAULTS: Params = {
    "hidden_size": 16,
    "num_attention_heads": 4,
    "lstm_layers": 1,
    "hidden_continuous_size": 8,
    "full_attention": False,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


def build(params: Params, context: ModelContext) -> "TFTModel":
    """Return a temporal fusion transformer for past covariates and a point forecast."""
    from darts.models import TFTModel
    from torch.nn import MSELoss

    return TFTModel(
        # The model needs a known future input, and all studies have the position of a step.
        add_relative_index=True,
        # Without a loss Darts would train quantiles and draw each forecast from them at random.
        loss_fn=MSELoss(),
        **darts_arguments(params, context),
    )


TFT = Architecture("tft", SPACE, DEFAULTS, build, takes_future_covariates=True)
