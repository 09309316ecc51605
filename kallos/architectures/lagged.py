"""Regressions on lags of the target and its covariates, as Darts' `SKLearnModel` and `LightGBMModel`.

Hoerl and Kennard (1970), "Ridge regression: Biased estimation for nonorthogonal problems"; Ke et al. (2017), "LightGBM:
A highly efficient gradient boosting decision tree". Each step of the horizon has its own coefficients or trees.
"""

from typing import TYPE_CHECKING, Any

from kallos.architectures.recipe import Architecture, ModelContext, Params
from kallos.architectures.space import Float, Int, Space

if TYPE_CHECKING:
    from darts.models import LightGBMModel, SKLearnModel

LAGS: Space = {"input_chunk_length": Int(low=1, high=60, log=True)}

RIDGE_SPACE: Space = {"alpha": Float(low=1e-2, high=1e5, log=True), **LAGS}
RIDGE_DEFAULTS: Params = {"alpha": 10.0, "input_chunk_length": 10}

LIGHTGBM_SPACE: Space = {
    "n_estimators": Int(low=20, high=400, log=True),
    "learning_rate": Float(low=0.01, high=0.3, log=True),
    "num_leaves": Int(low=2, high=64, log=True),
    "min_child_samples": Int(low=5, high=100, log=True),
    # The share of columns that each tree may use.
    "colsample_bytree": Float(low=0.2, high=1.0),
    "reg_lambda": Float(low=1e-3, high=100.0, log=True),
    **LAGS,
}
LIGHTGBM_DEFAULTS: Params = {
    "n_estimators": 50,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 20,
    "colsample_bytree": 0.8,
    "reg_lambda": 1.0,
    "input_chunk_length": 10,
}


def lag_arguments(params: Params, context: ModelContext) -> dict[str, Any]:
    """Return the arguments that Darts' regressions share, with the last rows as columns."""
    lags = params["input_chunk_length"]
    return {
        "lags": lags,
        "lags_past_covariates": lags if context.widths.covariates else None,
        # With a longer output Darts would read future covariates.
        "output_chunk_length": context.horizon,
        "output_chunk_shift": context.lead - 1,
        "random_state": context.seed,
    }


def build_ridge(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return a ridge regression."""
    from darts.models import SKLearnModel
    from sklearn.linear_model import Ridge

    return SKLearnModel(model=Ridge(alpha=params["alpha"]), **lag_arguments(params, context))


def build_lightgbm(params: Params, context: ModelContext) -> "LightGBMModel":
    """Return gradient boosted trees, deterministic on one thread."""
    from darts.models import LightGBMModel

    trees = {name: value for name, value in params.items() if name not in LAGS}
    fixed = {"n_jobs": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    return LightGBMModel(**trees, **fixed, **lag_arguments(params, context))


RIDGE = Architecture("ridge", RIDGE_SPACE, RIDGE_DEFAULTS, build_ridge, stops_early=False)
LIGHTGBM = Architecture(
    "lightgbm", LIGHTGBM_SPACE, LIGHTGBM_DEFAULTS, build_lightgbm, stops_early=False, requires="lightgbm"
)
