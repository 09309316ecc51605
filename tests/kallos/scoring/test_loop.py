"""The loop that trains networks learns as Lightning does."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from darts import TimeSeries
from pytorch_lightning import Callback
from torch.utils.data import RandomSampler

from kallos.architectures import create_model, get_architecture, registry
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


def losses_of_both(monkeypatch, name, params=(), **how):
    """Return the loss of each epoch by Lightning, and by the loop whose order of samples Lightning takes."""
    context = {name: how.pop(name) for name in ("loss", "quantiles") if name in how}

    def new(*callbacks):
        no_dropout = {key: 0.0 for key in get_architecture(name).defaults if "dropout" in key}
        chosen = {"input_chunk_length": 12, "lr": 1e-2, **no_dropout, **dict(params)}
        model = create_model(name, chosen, horizon=3, max_epochs=EPOCHS, widths=Widths(1, 2, 1), **context)
        model.trainer_params |= {"callbacks": list(callbacks), "num_sanity_val_steps": 0}
        return model

    orders, randperm = [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda n: orders.append(randperm(n)) or orders[-1])
    model = new()
    trainer = NetworkTrainer(model, patience=EPOCHS)
    learnt(model, trainer=trainer, **how)
    monkeypatch.undo()
    lightning, same = Losses(), iter(orders)
    monkeypatch.setattr(RandomSampler, "__iter__", lambda self: iter(next(same).tolist()))
    learnt(new(lightning), verbose=False, **how)
    return lightning.losses, trainer.trained.losses


@pytest.mark.parametrize("name", NETWORKS)
def test_in_the_same_order_of_samples_the_losses_are_those_of_lightning(name, monkeypatch):
    lightning, ours = losses_of_both(monkeypatch, name)
    assert len(ours) == EPOCHS
    np.testing.assert_allclose(ours, lightning, rtol=1e-5)


@pytest.mark.parametrize(
    ("params", "how"),
    [
        ({"gradient_clip_val": 0.1}, {}),
        ({"lr_decay": 0.5}, {}),
        ({"weight_decay": 1.0}, {}),
        ({"use_reversible_instance_norm": True}, {}),
        ({}, {"sample_weight": WEIGHT}),
        ({}, {"loss": "huber"}),
        ({}, {"loss": "huber", "sample_weight": WEIGHT}),
        ({}, {"quantiles": (0.1, 0.5, 0.9)}),
        ({}, {"quantiles": (0.1, 0.5, 0.9), "sample_weight": WEIGHT}),
    ],
)
def test_what_a_recipe_or_study_adds_is_as_under_lightning(params, how, monkeypatch):
    plain, _ = losses_of_both(monkeypatch, "tide")
    lightning, ours = losses_of_both(monkeypatch, "tide", params, **how)
    np.testing.assert_allclose(ours, lightning, rtol=1e-5)
    assert not np.allclose(lightning, plain, rtol=1e-3)
