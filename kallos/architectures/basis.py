"""N-BEATS and N-HiTS: stacks of blocks, each fitted to what the previous one left unexplained.

Oreshkin et al. (2020), "N-BEATS: Neural basis expansion analysis for interpretable time series forecasting", in its
generic form; Challu et al. (2023), "N-HiTS: Neural hierarchical interpolation for time series forecasting", pooling and
interpolation by Darts' own rule. As Darts' `NBEATSModel` and `NHiTSModel`.
"""

from functools import partial

from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE, Architecture, Params, build_network
from kallos.architectures.space import Float, Int, Space

NBEATS_SPACE: Space = {
    "num_stacks": Int(low=2, high=6),
    "num_blocks": Int(low=1, high=2),
    "num_layers": Int(low=2, high=4),
    "layer_widths": Int(low=32, high=256, log=True),
    "expansion_coefficient_dim": Int(low=4, high=16, log=True),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
NBEATS_DEFAULTS: Params = {
    "num_stacks": 2,
    "num_blocks": 1,
    "num_layers": 2,
    "layer_widths": 64,
    "expansion_coefficient_dim": 5,
    "dropout": 0.0,
    **TRAINING_DEFAULTS,
}


NBEATS = Architecture("nbeats", NBEATS_SPACE, NBEATS_DEFAULTS, partial(build_network, "NBEATSModel"))

NHITS_SPACE: Space = {
    "num_stacks": Int(low=2, high=4),
    "num_blocks": Int(low=1, high=2),
    "num_layers": Int(low=1, high=3),
    "layer_widths": Int(low=32, high=256, log=True),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
NHITS_DEFAULTS: Params = {
    "num_stacks": 3,
    "num_blocks": 1,
    "num_layers": 2,
    "layer_widths": 64,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


NHITS = Architecture("nhits", NHITS_SPACE, NHITS_DEFAULTS, partial(build_network, "NHiTSModel"))
