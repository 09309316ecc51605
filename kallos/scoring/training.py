"""Training one Darts model on one thread, a network with early stopping.

Importing this module imports neither torch nor Lightning: only `kallos.scoring.loop` does, for a network.
"""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from kallos.architectures import Widths, get_architecture
from kallos.architectures.lookup import is_of_kallos
from kallos.folds.scalers import PreparedSeries
from kallos.scoring.inputs import Inputs, inputs_from, inputs_of
from kallos.scoring.recency import Recency

if TYPE_CHECKING:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

    from kallos.folds.columns import PreparedFold
    from kallos.folds.cut import InnerCut
    from kallos.scoring.loop import NetworkTrainer

_FEW = 4


def library_of(model_name: str) -> str:
    """Return the module that makes the models of an architecture."""
    # What an architecture of a user's own builds is not known before it is built.
    is_network = get_architecture(model_name).stops_early or not is_of_kallos(model_name)
    return f"darts.models.forecasting.{'torch_forecasting_model' if is_network else 'sklearn_model'}"


def load_library(model_name: str) -> None:
    """Import what makes an architecture's models, before a clock or a block of one thread begins."""
    import_module(library_of(model_name))


def fit_once(
    model: "GlobalForecastingModel", series: Sequence[PreparedSeries], stops: Sequence[int], recency: Recency
) -> None:
    """Train a model in place on the rows of each series up to its stop, without early stopping."""
    rows = zip(series, stops, strict=True)
    learnt = [inputs_of(model, each)[recency.rows(stop, model)] for each, stop in rows]
    model.fit(**_arguments(learnt, recency), **_trained_by(model))


def fit_until_it_stops(
    model: "TorchForecastingModel",
    series: Sequence["PreparedFold"],
    cuts: Sequence["InnerCut"],
    recency: Recency,
    *,
    patience: int,
) -> tuple[int, int]:
    """Train a network in place with early stopping; return the number of its epochs and the one whose weights it kept.

    In each series, weights are fitted on the rows before its cut's `fit_stop`. Early stopping watches forecasts of the
    training rows from `inner_start` on, which may look back on earlier rows, and ends the training after `patience`
    epochs without a better one. Positions are counted from a series' first row.
    """
    from kallos.scoring.loop import NetworkTrainer

    inputs = [inputs_of(model, each) for each in series]
    learnt = [each[recency.rows(cut.fit_stop, model)] for each, cut in zip(inputs, cuts, strict=True)]
    look_back = model.input_chunk_length + model.output_chunk_shift
    watched = [
        whole[slice(cut.inner_start - look_back, each.fold.train_stop)]
        for whole, each, cut in zip(inputs, series, cuts, strict=True)
    ]
    trainer = NetworkTrainer(model, patience)
    model.fit(
        **_arguments(learnt, recency),
        val_series=[each.target for each in watched],
        val_past_covariates=_all_or_none([each.past for each in watched]),
        val_future_covariates=_all_or_none([each.future for each in watched]),
        trainer=trainer,
    )
    return trainer.trained.epochs, trainer.trained.best_epoch


def _arguments(learnt: Sequence[Inputs], recency: Recency) -> dict[str, Any]:
    return {
        "series": [each.target for each in learnt],
        "past_covariates": _all_or_none([each.past for each in learnt]),
        "future_covariates": _all_or_none([each.future for each in learnt]),
        **recency.sample_weights(learnt),
    }


def _trained_by(model: "GlobalForecastingModel") -> dict[str, "NetworkTrainer"]:
    """Return Darts' argument for what trains a network, none for other models."""
    # Darts' torch models have it, and the question imports no torch.
    if not hasattr(model, "epochs_trained"):
        return {}
    from kallos.scoring.loop import NetworkTrainer

    return {"trainer": NetworkTrainer(model)}


def _all_or_none(series: list["TimeSeries | None"]) -> list["TimeSeries | None"] | None:
    return None if series[0] is None else series


def make_fitted(model: "GlobalForecastingModel", widths: Widths) -> None:
    """Give a model the structure for its weights: fit it on a few rows of zeros, a network for no epochs."""
    inputs = inputs_of_zeros(model, widths)
    model.fit(inputs.target, past_covariates=inputs.past, future_covariates=inputs.future, **_trained_by(model))


def inputs_of_zeros(model: "GlobalForecastingModel", widths: Widths) -> Inputs:
    """Return inputs that are just long enough for a model to train and forecast."""
    from darts import TimeSeries

    reach = model.output_chunk_shift + model.output_chunk_length
    n_rows = -model.extreme_lags[0] + reach + _FEW

    def zeros(n_rows: int, width: int) -> "TimeSeries | None":
        return TimeSeries.from_values(np.zeros((n_rows, width), np.float32)) if width else None

    target, past = zeros(n_rows, widths.targets), zeros(n_rows, widths.covariates)
    return inputs_from(model, target, past, zeros(n_rows + reach, widths.known))


@contextmanager
def quiet_single_thread() -> Iterator[None]:
    """Run with one torch and one BLAS thread, because bits depend on them, and without the libraries' log lines.

    A network must not be the first thing to import torch in this block: see `load_library`.
    """
    torch: Any = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "darts")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if torch:
            torch.set_num_threads(threads)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
