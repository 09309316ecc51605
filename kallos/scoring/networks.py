"""What Lightning and Darts need to train a network with early stopping, the best weights kept in memory.

Importing this module imports torch and Lightning, so import it only where a network is trained.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytorch_lightning as pl
import torch
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from darts.utils.data.torch_datasets.training_dataset import SequentialTorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch, _batch_collate_fn_train
from pytorch_lightning.callbacks import EarlyStopping

_MONITOR = "val_loss"
_MOST_SAMPLE_BYTES = 2**28


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


def best_epoch_of(model: TorchForecastingModel) -> int:
    """Return the epoch whose weights a network kept that was trained with `early_stopping`."""
    best = next(entry for entry in model.trainer.callbacks if isinstance(entry, BestWeights))
    return best.best_epoch


def fit_network(model: TorchForecastingModel, **arguments: Any) -> None:
    """Train a network in place, with Darts' arguments of `fit`."""
    with _whole_batches(model):
        model.fit(**arguments, dataloader_kwargs={"collate_fn": _collate}, verbose=False)


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
