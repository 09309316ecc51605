"""The loop that trains networks learns as Lightning does."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from darts import TimeSeries
from pytorch_lightning import Callback
from torch.utils.data import Sampler

from kallos.architectures import create_model, registry
from kallos.architectures.recipe import Widths
from kallos.scoring.loop import NetworkTrainer
from kallos.scoring.training import quiet_single_thread

NETWORKS = [name for name, each in registry().items() if each.stops_early]
EPOCHS, ROWS = 5, 200


def noise(width, n_rows=ROWS, seed=0):
    """Return a series of random numbers."""
    return TimeSeries.from_values(np.random.default_rng(seed).normal(size=(n_rows, width)).astype(np.float32))


TARGET, PAST, FUTURE = noise(1), noise(2, seed=1), noise(1, seed=2)
WEIGHT = TimeSeries.from_values(np.linspace(0.1, 1.9, ROWS, dtype=np.float32)[:, None])


class Orders(Sampler):
    """Hands out orders of samples one after the other."""

    def __init__(self, orders):
        self.orders = iter(orders)

    def __iter__(self):
        return iter(next(self.orders).tolist())


class Losses(Callback):
    """Keeps the validation loss of each epoch under Lightning."""

    def __init__(self):
        self.losses = []

    def on_validation_end(self, trainer, pl_module):
        self.losses.append(float(trainer.callback_metrics["val_loss"]))


def learnt(model, **arguments):
    """Return a model that has learnt the first rows, with a watch on the last ones."""
    stop = 150
    known = {"past_covariates": PAST} if model.supports_past_covariates else {}
    known |= {"future_covariates": FUTURE} if model.supports_future_covariates else {}
    watched = {f"val_{name}": series[stop:] for name, series in known.items()}
    own = {name: series[:stop] for name, series in known.items()}
    with quiet_single_thread():
        return model.fit(TARGET[:stop], **own, val_series=TARGET[stop:], **watched, **arguments)


def both_ways(monkeypatch, name, params=(), more=(), **context):
    """Return the losses of each epoch by Lightning and by the loop, in the same order of samples."""
    def new():
        chosen = {"input_chunk_length": 12, **dict(params)}
        return create_model(name, chosen, horizon=3, max_epochs=EPOCHS, widths=Widths(1, 2, 1), **context)

    orders, ours, randperm = [], [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda n: orders.append(randperm(n)) or orders[-1])
    watched = kallos.scoring.loop._watched_loss
    monkeypatch.setattr(kallos.scoring.loop, "_watched_loss", lambda *given: ours.append(watched(*given)) or ours[-1])
