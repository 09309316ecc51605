"""DLinear and NLinear: one linear layer over time.

Zeng et al. (2023), "Are transformers effective for time series forecasting?". As Darts' `DLinearModel` and
`NLinearModel`.
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
from kallos.architectures.space import Categorical, Int, Space

if TYPE_CHECKING:
    from darts.models import DLinearModel, NLinearModel

DLINEAR_SPACE: Space = {
    # Of an odd length the moving average stands in the middle.
    "kernel_size": Int(low=3, high=25, step=2),
    "const_init": Categorical(choices=(True, False)),
    **TRAINING_SPACE,
}
DLINEAR_DEFAULTS: Params = {
    "kernel_size": 25,
    "const_init": True,
    **TRAINING_DEFAULTS,
}


def build_dlinear(params: Params, context: ModelContext) -> "DLinearModel":
    """Return a linear layer for the moving average, and one for what is left of the input."""
    from darts.models import DLinearModel

    return DLinearModel(**darts_arguments(params, context))


DLINEAR = Architecture("dlinear", DLINEAR_SPACE, DLINEAR_DEFAULTS, build_dlinear)

NLINEAR_SPACE: Space = {
    "normalize": Categorical(choices=(True, False)),
    "const_init": Categorical(choices=(True, False)),
    **TRAINING_SPACE,
}
NLINEAR_DEFAULTS: Params = {
    "normalize": True,
    "const_init": True,
    **TRAINING_DEFAULTS,
}


def build_nlinear(params: Params, context: ModelContext) -> "NLinearModel":
    """Return a linear layer over the input, less its last value if `normalize`."""
    from darts.models import NLinearModel

    return NLinearModel(**darts_arguments(params, context))


NLINEAR = Architecture("nlinear", NLINEAR_SPACE, NLINEAR_DEFAULTS, build_nlinear)
