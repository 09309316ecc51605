"""Classical models of one series, as Darts' `SKLearnModel` around statsforecast: fitted once, rolled forward.

Hyndman, Koehler, Snyder and Grose (2002), "A state space framework for automatic forecasting using exponential
smoothing methods"; Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler (2016), "Models for optimising the theta
method and their relationship to state space models"; Box and Jenkins (1970), "Time series analysis: Forecasting and
control". They know the targets alone: covariates and known columns are ignored.
"""

from typing import TYPE_CHECKING

from kallos.architectures.estimators.model import layout_of, regression
from kallos.architectures.recipe import Architecture, ModelContext, Params
from kallos.architectures.space import Categorical, Int, Space

if TYPE_CHECKING:
    from darts.models import SKLearnModel

    from kallos.architectures.estimators.local import Family

EXTRA = "statsforecast"

# The rows in which a model forgets how it began.
WINDOW: Space = {"input_chunk_length": Int(low=40, high=120, step=20)}
WINDOW_DEFAULT: Params = {"input_chunk_length": 80}

ETS_SPACE: Space = {"trend": Categorical(choices=("none", "additive", "damped")), **WINDOW}
ETS_DEFAULTS: Params = {"trend": "none", **WINDOW_DEFAULT}

# Standard or optimised theta, with a fixed or dynamic drift.
THETA_SPACE: Space = {"variant": Categorical(choices=("STM", "OTM", "DSTM", "DOTM")), **WINDOW}
THETA_DEFAULTS: Params = {"variant": "OTM", **WINDOW_DEFAULT}

ARIMA_SPACE: Space = {"p": Int(low=0, high=3), "d": Int(low=0, high=1), "q": Int(low=0, high=3), **WINDOW}
ARIMA_DEFAULTS: Params = {"p": 1, "d": 1, "q": 1, **WINDOW_DEFAULT}


def build_ets(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return exponential smoothing."""
    from kallos.architectures.estimators.classical import Smoothing

    trend = params["trend"]
    return _local(Smoothing(has_trend=trend != "none", is_damped=trend == "damped"), params, context)


def build_theta(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return a theta method."""
    from kallos.architectures.estimators.classical import Theta

    return _local(Theta(params["variant"]), params, context)


def build_arima(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return an ARIMA model."""
    from kallos.architectures.estimators.classical import Arima

    return _local(Arima(params["p"], params["d"], params["q"]), params, context)


def _local(family: "Family", params: Params, context: ModelContext) -> "SKLearnModel":
    from kallos.architectures.estimators.local import Local

    lags = params["input_chunk_length"]
    return regression(Local(layout_of(context, lags), context.lead, family), context, lags=lags, covariate_lags=1)


ETS = Architecture(
    "ets",
    ETS_SPACE,
    ETS_DEFAULTS,
    build_ets,
    stops_early=False,
    learns_quantiles=False,
    is_local=True,
    requires=EXTRA,
)
THETA = Architecture(
    "theta",
    THETA_SPACE,
    THETA_DEFAULTS,
    build_theta,
    stops_early=False,
    learns_quantiles=False,
    is_local=True,
    requires=EXTRA,
)
ARIMA = Architecture(
    "arima",
    ARIMA_SPACE,
    ARIMA_DEFAULTS,
    build_arima,
    stops_early=False,
    learns_quantiles=False,
    is_local=True,
    requires=EXTRA,
)
