"""DLinear and NLinear: one linear layer over time.

Zeng et al. (2023), "Are transformers effective for time series forecasting?". As Darts' `DLinearModel` and
`NLinearModel`.
"""

from functools import partial

from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE, Architecture, Params, build_network
from kallos.architectures.space import Categorical, Int, Space

# DLinear has one layer for the moving average of the input, and one for the rest.
DLINEAR_SPACE: Space = {
    # A moving average of odd length is centred.
    "kernel_size": Int(low=3, high=25, step=2),
    "const_init": Categorical(choices=(True, False)),
    **TRAINING_SPACE,
}
DLINEAR_DEFAULTS: Params = {
    "kernel_size": 25,
    "const_init": True,
    **TRAINING_DEFAULTS,
}
DLINEAR = Architecture(
    "dlinear", DLINEAR_SPACE, DLINEAR_DEFAULTS, partial(build_network, "DLinearModel"), takes_future_covariates=True
)

# NLinear subtracts the last value from the input if `normalize`.
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
NLINEAR = Architecture(
    "nlinear", NLINEAR_SPACE, NLINEAR_DEFAULTS, partial(build_network, "NLinearModel"), takes_future_covariates=True
)
