"""Training one Darts model on one thread, with early stopping and the best weights kept in memory.

Importing this module imports torch and Lightning, so import it only where a model is trained.
"""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from darts.utils.data.torch_datasets.training_dataset import SequentialTorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch, _batch_collate_fn_train
from pytorch_lightning.callbacks import EarlyStopping
from threadpoolctl import threadpool_limits

from kallos.architectures import Widths
from kallos.folds.scalers import PreparedSeries
from kallos.scoring.inputs import Inputs, inputs_from, inputs_of
from kallos.scoring.recency import Recency

if TYPE_CHECKING:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

    from kallos.folds.columns import PreparedFold
    from kallos.folds.cut import InnerCut

_MONITOR = "val_loss"
_MOST_SAMPLE_BYTES = 2**28
_FEW = 4


class BestWeights(pl.Callback):
    """Keeps the weights of the epoch with the lowest inner validation loss, and restores them at the end."""

    def __init__(self) -> None:
        self.best_loss = math.inf
        self.best_epoch = 0
        self._weights: dict[str, Any] | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights if this epoch is the best so far."""
        loss = float(trainer.callback_metrics[_MONITOR])
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, trainer.current_epoch + 1
            self._weights = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the best weights; a fit whose loss was never finite keeps its last weights."""
        if self._weights is not None:
            pl_module.load_state_dict(self._weights)


def early_stopping(patience: int) -> list[pl.Callback]:
    """Return new callbacks for one fit, which have state and must not be shared."""
    return [EarlyStopping(monitor=_MONITOR, patience=patience, mode="min"), BestWeights()]


def fit_once(
    model: "GlobalForecastingModel", series: Sequence[PreparedSeries], stops: Sequence[int], recency: Recency
) -> None:
    """Train a model in place on the rows of each series up to its stop, without early stopping."""
    rows = zip(series, stops, strict=True)
    _fit(model, [inputs_of(model, each)[recency.rows(stop, model)] for each, stop in rows], recency)


def fit_until_it_stops(
    model: "GlobalForecastingModel", series: Sequence["PreparedFold"], cuts: Sequence["InnerCut"], recency: Recency
) -> tuple[int, int]:
    """Train a model in place with early stopping; return the number of its epochs and the one whose weights it kept.

    In each series, weights are fitted on the rows before its cut's `fit_stop`. Early stopping watches forecasts of the
    training rows from `inner_start` on, which may look back on earlier rows. Positions are counted from a series'
    first row.
    """
    inputs = [inputs_of(model, each) for each in series]
    learnt = [each[recency.rows(cut.fit_stop, model)] for each, cut in zip(inputs, cuts, strict=True)]
    look_back = model.input_chunk_length + model.output_chunk_shift
    watched = [
        whole[slice(cut.inner_start - look_back, each.fold.train_stop)]
        for whole, each, cut in zip(inputs, series, cuts, strict=True)
    ]
    _fit(
        model,
        learnt,
        recency,
        val_series=[each.target for each in watched],
        val_past_covariates=_all_or_none([each.past for each in watched]),
        val_future_covariates=_all_or_none([each.future for each in watched]),
    )
    best = next(entry for entry in model.trainer.callbacks if isinstance(entry, BestWeights))
    return int(model.epochs_trained), best.best_epoch


def _fit(model: "GlobalForecastingModel", learnt: Sequence[Inputs], recency: Recency, **watched: Any) -> None:
    arguments = {
        "series": [each.target for each in learnt],
        "past_covariates": _all_or_none([each.past for each in learnt]),
        "future_covariates": _all_or_none([each.future for each in learnt]),
        **recency.sample_weights(learnt),
        **watched,
    }
    if not isinstance(model, TorchForecastingModel):
        model.fit(**arguments)
        return
    with _whole_batches(model):
        model.fit(**arguments, dataloader_kwargs={"collate_fn": _collate}, verbose=False)


def _all_or_none(series: list["TimeSeries | None"]) -> list["TimeSeries | None"] | None:
    return None if series[0] is None else series


def make_fitted(model: "GlobalForecastingModel", widths: Widths) -> None:
    """Give a model the structure for its weights: fit it on a few rows of zeros, a network for no epochs."""
    inputs = inputs_of_zeros(model, widths)
    model.fit(inputs.target, past_covariates=inputs.past, future_covariates=inputs.future)


def inputs_of_zeros(model: "GlobalForecastingModel", widths: Widths) -> Inputs:
    """Return inputs that are just long enough for a model to train and forecast."""
    from darts import TimeSeries

    reach = model.output_chunk_shift + model.output_chunk_length
    n_rows = -model.extreme_lags[0] + reach + _FEW

    def zeros(n_rows: int, width: int) -> "TimeSeries | None":
        return TimeSeries.from_values(np.zeros((n_rows, width), np.float32)) if width else None

    target, past = zeros(n_rows, widths.targets), zeros(n_rows, widths.covariates)
    return inputs_from(model, target, past, zeros(n_rows + reach, widths.known))


class _WholeBatches(SequentialTorchTrainingDataset):  # type: ignore[misc]
    """Darts' samples, cut once instead of once per epoch, and taken batch by batch: the same batches, but faster."""

    def __init__(self, dataset: SequentialTorchTrainingDataset) -> None:
        self.__dict__.update(dataset.__dict__)
        self._samples = _batch_collate_fn_train([dataset[position] for position in range(len(dataset))])

    def __getitems__(self, places: list[int]) -> TorchTrainingBatch:
        """Return a batch, by torch's protocol for datasets."""
        chosen = torch.as_tensor(places)
        parts = {field.name: getattr(self._samples, field.name) for field in fields(TorchTrainingBatch)}
        return TorchTrainingBatch(**{name: None if part is None else part[chosen] for name, part in parts.items()})


@contextmanager
def _whole_batches(model: TorchForecastingModel) -> Iterator[None]:
    """Let a model cut its samples once in the block, if they fit into memory."""
    build = model._build_train_dataset

    def build_once(*args: Any, **kwargs: Any) -> SequentialTorchTrainingDataset:
        dataset = build(*args, **kwargs)
        return _WholeBatches(dataset) if _sample_bytes(dataset) <= _MOST_SAMPLE_BYTES else dataset

    model._build_train_dataset = build_once
    try:
        yield
    finally:
        del model._build_train_dataset


def _sample_bytes(dataset: SequentialTorchTrainingDataset) -> int:
    sample = dataset[0]
    parts = (getattr(sample, field.name) for field in fields(sample))
    return int(len(dataset) * sum(part.nbytes for part in parts if part is not None))


def _collate(batch: Any) -> TorchTrainingBatch:
    return batch if isinstance(batch, TorchTrainingBatch) else _batch_collate_fn_train(batch)


@contextmanager
def quiet_single_thread() -> Iterator[None]:
    """Run with one torch and one BLAS thread, because bits depend on them, and without the libraries' log lines."""
    threads = torch.get_num_threads()
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "darts")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
