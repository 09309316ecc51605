"""The cost of a forecast in multiply-adds, which are counted, not timed, and so the same on every machine."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kallos.architectures import Widths
from kallos.errors import KallosError
from kallos.scoring.fold import model_of_fit
from kallos.scoring.job import FitSpec, FoldJob
from kallos.scoring.training import inputs_of_zeros, load_library, make_fitted, quiet_single_thread
from kallos.scoring.weights import estimators_of

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel


def count_operations(fit: FitSpec, widths: Widths) -> int:
    """Return the number of multiply-adds of one forecast from columns of these numbers.

    For a network they are those of the matrix products, convolutions and attention in one forward pass; a recurrent
    weight counts once per input step. For a regression they are its coefficients. For trees they are the nodes from
    root to leaf, as if all trees were balanced, because their depth depends on the data.

    Raises `KallosError` for other models.
    """
    load_library(fit.model_name)
    with quiet_single_thread():
        model = model_of_fit(fit, widths, max_epochs=0)
        make_fitted(model, widths)
        if hasattr(model.model, "forward"):
            return _of_network(model, widths)
        return sum(_of_estimator(estimator) for estimator in estimators_of(model.model))


def operations_of_job(job: FoldJob, *, widths: Widths) -> int:
    """Return the number of multiply-adds of one forecast of a job's model; raises as `count_operations`."""
    return count_operations(job.fit, widths)


def _of_network(model: "GlobalForecastingModel", widths: Widths) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    inputs = inputs_of_zeros(model, widths)
    counter = FlopCounterMode(display=False)
    # Otherwise the counter looks for gradients.
    model.model.requires_grad_(False)
    with _in_countable_parts(), counter:
        model.predict(
            model.output_chunk_length,
            series=inputs.target,
            past_covariates=inputs.past,
            future_covariates=inputs.future,
            verbose=False,
            show_warnings=False,
        )
    # Torch counts a multiply-add as two.
    return int(counter.get_total_flops()) // 2


@contextmanager
def _in_countable_parts() -> Iterator[None]:
    """Let torch compute LSTMs and attention from products that it counts, not in fused kernels."""
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
    if hasattr(estimator, "operations"):
        return int(estimator.operations)
    if hasattr(estimator, "coef_"):
        return int(estimator.coef_.size)
    if hasattr(estimator, "booster_"):
        params = estimator.get_params()
        return int(params["n_estimators"]) * math.ceil(math.log2(params["num_leaves"]))
    raise KallosError(f"a forecast's cost needs coefficients or trees, and {type(estimator).__name__} has neither")
