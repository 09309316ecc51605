"""Temporal convolutions: Bai, Kolter and Koltun (2018), "An empirical evaluation of generic convolutional and recurrent
networks for sequence modeling", as Darts' `TCNModel`. Its input must be longer than the horizon.
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
from kallos.architectures.space import Float, Int, Space

if TYPE_CHECKING:
    from darts.models import TCNModel

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


def build(params: Params, context: ModelContext) -> "TCNModel":
    """Return a stack of dilated causal convolutions, as deep as its input is long."""
    from darts.models import TCNModel

    return TCNModel(**darts_arguments(params, context))


TCN = Architecture("tcn", SPACE, DEFAULTS, build)
