"""Regressions on lags of the target and its covariates, as Darts' `SKLearnModel` with estimators of our own.

Hoerl and Kennard (1970), "Ridge regression: Biased estimation for nonorthogonal problems"; Corsi (2009), "A simple
approximate long-memory model of realized volatility"; Ke et al. (2017), "LightGBM: A highly efficient gradient boosting
decision tree". Each step of the horizon has its own coefficients or trees, and sees the known columns of its own row.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from kallos.architectures.estimators.model import layout_of, regression, seen_covariates
from kallos.architectures.inputs import INPUT
from kallos.architectures.recipe import RECENCY_DEFAULTS, RECENCY_SPACE, Architecture, ModelContext, Params
from kallos.architectures.space import Categorical, Constant, Float, Int, Space

if TYPE_CHECKING:
    from darts.models import SKLearnModel

COVARIATE_LAGS, ADDED_LAGS = "covariate_lags", "added_lags"
RIDGE_SPACE: Space = {
    "alpha": Float(low=1e-2, high=1e5, log=True),
    # How many last rows are columns: of the target, of the table's other columns, and of the means and lags that the
    # study adds. 0 leaves a group out; more than the target's are as many as the target's.
    INPUT: Int(low=1, high=60, log=True),
    COVARIATE_LAGS: Int(low=0, high=10),
    ADDED_LAGS: Int(low=0, high=3),
    **RECENCY_SPACE,
}
RIDGE_DEFAULTS: Params = {
    "alpha": 100.0,
    INPUT: 20,
    COVARIATE_LAGS: 2,
    ADDED_LAGS: 1,
    **RECENCY_DEFAULTS,
}

# Corsi's day, week and month.
WINDOWS = (1, 5, 22)
HAR_SPACE: Space = {
    # Whether the last row of the covariates belongs to the columns.
    "covariates": Categorical(choices=(True, False)),
    INPUT: Constant(value=max(WINDOWS)),
    **RECENCY_SPACE,
}
HAR_DEFAULTS: Params = {"covariates": True, INPUT: max(WINDOWS), **RECENCY_DEFAULTS}
# Least squares; this changes no digit that counts, and makes the days of the week and an intercept solvable.
_NO_PENALTY = 1e-3

LEVEL_ROWS = "level_rows"
# Each range spans what did well on two tables of daily ranges; few trees at a high rate, and many lags, never did.
LIGHTGBM_SPACE: Space = {
    "n_estimators": Int(low=100, high=400, log=True),
    "learning_rate": Float(low=0.02, high=0.08, log=True),
    "num_leaves": Int(low=4, high=32, log=True),
    "min_child_samples": Int(low=10, high=80, log=True),
    # The shares of columns and of rows that each tree may use.
    "colsample_bytree": Float(low=0.3, high=1.0),
    "subsample": Float(low=0.4, high=1.0),
    "reg_lambda": Float(low=0.1, high=30.0, log=True),
    # The targets are forecast from their mean over so many last rows on; 0 for the values themselves, as suits returns.
    LEVEL_ROWS: Categorical(choices=(0, 10)),
    INPUT: Int(low=3, high=40, log=True),
    # How many last rows of the covariates are columns, if the input is not shorter.
    COVARIATE_LAGS: Int(low=1, high=5, log=True),
    **RECENCY_SPACE,
}
LIGHTGBM_DEFAULTS: Params = {
    "n_estimators": 200,
    "learning_rate": 0.03,
    "num_leaves": 8,
    "min_child_samples": 20,
    "colsample_bytree": 0.6,
    "subsample": 0.7,
    "reg_lambda": 1.0,
    LEVEL_ROWS: 10,
    INPUT: 20,
    COVARIATE_LAGS: 1,
    **RECENCY_DEFAULTS,
}


def build_ridge(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return a ridge regression."""
    from kallos.architectures.estimators.linear import Linear

    lags = params[INPUT]
    n_rows, seen = seen_covariates(
        context.widths, lags=lags, covariate_lags=params[COVARIATE_LAGS], added_lags=params[ADDED_LAGS]
    )
    estimator = Linear(replace(layout_of(context, lags), seen=seen), context.quantiles, alpha=params["alpha"])
    return regression(estimator, context, lags=lags, covariate_lags=n_rows)


def build_har(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return a least-squares regression on means of the last values, and the last row of the covariates."""
    from kallos.architectures.estimators.linear import Linear

    lags = params[INPUT]
    windows = tuple(window for window in WINDOWS if window <= lags)
    layout = replace(layout_of(context, lags), windows=windows, seen=None if params["covariates"] else ())
    return regression(Linear(layout, context.quantiles, alpha=_NO_PENALTY), context, lags=lags, covariate_lags=1)


def build_lightgbm(params: Params, context: ModelContext) -> "SKLearnModel":
    """Return gradient boosted trees."""
    from kallos.architectures.estimators.trees import Trees

    lags = params[INPUT]
    trees = {name: value for name, value in params.items() if name not in {INPUT, COVARIATE_LAGS, LEVEL_ROWS}}
    # Without a frequency LightGBM draws no rows.
    trees["subsample_freq"] = 1
    estimator = Trees(
        layout_of(context, lags), context.quantiles, seed=context.seed, level_rows=params[LEVEL_ROWS], params=trees
    )
    return regression(estimator, context, lags=lags, covariate_lags=params[COVARIATE_LAGS])


RIDGE = Architecture("ridge", RIDGE_SPACE, RIDGE_DEFAULTS, build_ridge, stops_early=False, takes_future_covariates=True)
HAR = Architecture("har", HAR_SPACE, HAR_DEFAULTS, build_har, stops_early=False, takes_future_covariates=True)
LIGHTGBM = Architecture(
    "lightgbm", LIGHTGBM_SPACE, LIGHTGBM_DEFAULTS, build_lightgbm, stops_early=False, takes_future_covariates=True
)
