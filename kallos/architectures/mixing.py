"""TiDE and TSMixer: multi-layer perceptrons over time and features.

Das et al. (2023), "Long-term forecasting with TiDE: Time-series dense encoder"; Chen et al. (2023), "TSMixer: An
all-MLP architecture for time series forecasting". As Darts' `TiDEModel` and `TSMixerModel`.
"""

from functools import partial

from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE, Architecture, Params, build_network
from kallos.architectures.space import Categorical, Float, Int, Space

TIDE_SPACE: Space = {
    "num_encoder_layers": Int(low=1, high=3),
    "num_decoder_layers": Int(low=1, high=3),
    "decoder_output_dim": Int(low=4, high=32, log=True),
    "hidden_size": Int(low=16, high=256, log=True),
    # The covariates of a step are projected to this many numbers; 0 uses them as they are.
    "temporal_width_past": Int(low=0, high=8),
    "temporal_decoder_hidden": Int(low=16, high=128, log=True),
    "use_layer_norm": Categorical(choices=(False, True)),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
TIDE_DEFAULTS: Params = {
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "decoder_output_dim": 16,
    "hidden_size": 64,
    "temporal_width_past": 4,
    "temporal_decoder_hidden": 32,
    "use_layer_norm": False,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


TIDE = Architecture(
    "tide", TIDE_SPACE, TIDE_DEFAULTS, partial(build_network, "TiDEModel"), takes_future_covariates=True
)

TSMIXER_SPACE: Space = {
    "num_blocks": Int(low=1, high=4),
    "hidden_size": Int(low=8, high=64, log=True),
    "ff_size": Int(low=8, high=64, log=True),
    "norm_type": Categorical(choices=("LayerNorm", "TimeBatchNorm2d")),
    "normalize_before": Categorical(choices=(False, True)),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
TSMIXER_DEFAULTS: Params = {
    "num_blocks": 2,
    "hidden_size": 32,
    "ff_size": 32,
    "norm_type": "LayerNorm",
    "normalize_before": False,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


TSMIXER = Architecture(
    "tsmixer", TSMIXER_SPACE, TSMIXER_DEFAULTS, partial(build_network, "TSMixerModel"), takes_future_covariates=True
)
