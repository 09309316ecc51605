"""What a forecast costs: multiply-adds, counted and not timed, and so the same on every machine."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kallos.errors import KallosError
from kallos.scoring.fold import model_of_fit
from kallos.scoring.job import FitSpec
from kallos.scoring.weights import estimators_of

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


def count_operations(fit: FitSpec, n_covariates: int) -> int:
    """Return how many multiply-adds one forecast of a model with so many covariates takes.

    Of a network, those of the matrix products, convolutions and attention of one forward pass: a recurrent weight
    counts once for each step of the input. Of a regression, its coefficients. Of trees, the nodes from root to leaf,
    where all are as deep as balanced ones of so many leaves: how deep they grow depends on their data.

    Raises `KallosError` for a model that is none of these.
    """
    from kallos.scoring.training import make_fitted, quiet_single_thread

    n_targets = len(fit.features.targets)
    with quiet_single_thread():
        model = model_of_fit(fit, n_covariates > 0, max_epochs=0)
        make_fitted(model, n_covariates, n_targets)
        if hasattr(model.model, "forward"):
            return _of_network(model, n_covariates, n_targets)
        return sum(_of_estimator(estimator) for estimator in estimators_of(model.model))


def _of_network(model: "GlobalForecastingModel", n_covariates: int, n_targets: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    from kallos.scoring.training import series_of_zeros

    target, covariates = series_of_zeros(model, n_covariates, n_targets)
    counter = FlopCounterMode(display=False)
    # The counter looks for the gradients of what has any.
    model.model.requires_grad_(False)
    with _in_countable_parts(), counter:
        model.predict(
            model.output_chunk_length,
            series=target,
            past_covariates=covariates,
            verbose=False,
            show_warnings=False,
        )
    # Torch counts a multiply-add as two.
    return int(counter.get_total_flops()) // 2


@contextmanager
def _in_countable_parts() -> Iterator[None]:
    """Let torch compute LSTMs and attention from the products that it counts, and not in kernels that hide them."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


def _of_estimator(estimator: Any) -> int:
    if hasattr(estimator, "coef_"):
        return int(estimator.coef_.size)
    if hasattr(estimator, "booster_"):
        params = estimator.get_params()
        return int(params["n_estimators"]) * math.ceil(math.log2(params["num_leaves"]))
    raise KallosError(f"a forecast's cost must be that of numbers or trees, and {type(estimator).__name__} has none")
