"""Temporal convolutions: Bai, Kolter and Koltun (2018), "An empirical evaluation of generic convolutional and recurrent
networks for sequence modeling", as Darts' `TCNModel`. Its input must be longer than the horizon.
"""

from functools import partial

from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE, Architecture, Params, build_network
from kallos.architectures.space import Float, Int, Space

SPACE: Space = {
    "kernel_size": Int(low=2, high=7),
    "num_filters": Int(low=8, high=64, log=True),
    "dilation_base": Int(low=2, high=4),
    "dropout": Float(low=0.0, high=0.5),
    **TRAINING_SPACE,
}
DEFAULTS: Params = {
    "kernel_size": 3,
    "num_filters": 16,
    "dilation_base": 2,
    "dropout": 0.1,
    **TRAINING_DEFAULTS,
}


TCN = Architecture("tcn", SPACE, DEFAULTS, partial(build_network, "TCNModel"))
