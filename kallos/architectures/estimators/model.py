"""Darts' `SKLearnModel` around an estimator of this package; importing this module imports no Darts."""

from typing import TYPE_CHECKING, Any

from kallos.architectures.recipe import ModelContext, Widths

if TYPE_CHECKING:
    from darts.models import SKLearnModel

    from kallos.architectures.estimators.direct import Layout


def regression(estimator: Any, context: ModelContext, *, lags: int, covariate_lags: int) -> "SKLearnModel":
    """Return Darts' model around an estimator, which forecasts the context's quantiles, if there are any."""
    from darts.models import SKLearnModel
    from darts.utils.likelihood_models.sklearn import MultiQuantileRegression

    model = SKLearnModel(model=estimator, **lag_arguments(context, lags=lags, covariate_lags=covariate_lags))
    if context.quantiles is not None:
        model._likelihood = MultiQuantileRegression(n_outputs=context.horizon, quantiles=list(context.quantiles))
    return model


def layout_of(context: ModelContext, lags: int) -> "Layout":
    """Return where Darts puts the columns of a regression on so many lags."""
    from kallos.architectures.estimators.direct import Layout

    return Layout(context.horizon, context.widths.targets, lags, context.widths.known)


def seen_covariates(widths: Widths, *, lags: int, covariate_lags: int, added_lags: int) -> tuple[int, tuple[int, ...]]:
    """Return how many last rows of the covariates Darts has to pass, and which of their columns are read.

    Those that the study adds have lags of their own. Darts passes at least one row, the oldest first.
    """
    n_rows = min(max(covariate_lags, added_lags, 1), lags)
    seen = tuple(
        row * widths.covariates + column
        for row in range(n_rows)
        for column in range(widths.covariates)
        if n_rows - row <= (added_lags if column in widths.added else covariate_lags)
    )
    return n_rows, seen


def lag_arguments(context: ModelContext, *, lags: int, covariate_lags: int) -> dict[str, Any]:
    """Return the arguments that Darts' regressions share, with the last rows as columns."""
    return {
        "lags": lags,
        "lags_past_covariates": min(covariate_lags, lags) if context.widths.covariates else None,
        # Counted from the first forecast row, whatever the lead.
        "lags_future_covariates": list(range(context.horizon)) if context.widths.known else None,
        # With a longer output Darts would read future covariates.
        "output_chunk_length": context.horizon,
        "output_chunk_shift": context.lead - 1,
        "random_state": context.seed,
    }
