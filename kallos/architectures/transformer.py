"""Transformer: Vaswani et al. (2017), "Attention is all you need", as Darts' `TransformerModel`."""

from functools import partial

from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE, Architecture, Params, build_network
from kallos.architectures.space import Categorical, Float, Int, Product, Space

SPACE: Space = {
    # The width is a product, because it must be a multiple of the number of heads.
    "nhead": Categorical(choices=(1, 2, 4, 8)),
    "head_width": Categorical(choices=(4, 8, 16)),
    "d_model": Product(of=("nhead", "head_width")),
    "num_encoder_layers": Int(low=1, high=3),
    "num_decoder_layers": Int(low=1, high=2),
    "dim_feedforward": Int(low=32, high=256, log=True),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
DEFAULTS: Params = {
    "d_model": 32,
    "nhead": 4,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dim_feedforward": 64,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


TRANSFORMER = Architecture("transformer", SPACE, DEFAULTS, partial(build_network, "TransformerModel"))
