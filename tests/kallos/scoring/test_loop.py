"""The loop that trains networks learns as Lightning does."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.models import NLinearModel
from darts.models.forecasting.nlinear import _NLinearModule
from pytorch_lightning import Callback
from torch.utils.data import RandomSampler

from kallos.architectures import create_model, get_architecture, registry
from kallos.architectures.recipe import Widths
from kallos.errors import UsageError
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.loop import NetworkTrainer
from kallos.scoring.training import quiet_single_thread
from tests.samples import content_of, small_job

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


def nlinear(**params):
    """Return a linear layer over five rows, with steps so large that the loss falls and rises again."""
    return create_model("nlinear", {"input_chunk_length": 5, "lr": 0.1, **params}, widths=Widths(1, 2), max_epochs=20)


def trained(model, patience):
    """Return how a model was trained."""
    trainer = NetworkTrainer(model, patience)
    learnt(model, trainer=trainer)
    return trainer.trained


def test_training_ends_when_patience_does_and_the_best_weights_come_back():
    stopped, whole = trained(model := nlinear(), 3), trained(nlinear(), 20)
    assert stopped.epochs == stopped.best_epoch + 3 < whole.epochs == 20
    assert stopped.losses == whole.losses[: stopped.epochs]
    assert stopped.best_epoch == 1 + int(np.argmin(stopped.losses))
    # A model that is trained for just so many epochs has the same weights.
    again = create_model(
        "nlinear", {"input_chunk_length": 5, "lr": 0.1}, widths=Widths(1, 2), max_epochs=stopped.best_epoch
    )
    trained(again, 20)
    for name, weight in model.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_a_loss_that_is_not_finite_ends_the_training():
    broken = trained(nlinear(lr=1e38), 20)
    assert (broken.epochs, broken.best_epoch) == (1, 0)


def test_a_fit_does_not_depend_on_those_before_it(tmp_path):
    job, other = (small_job(tmp_path, model_name=name, horizon=2) for name in ("tide", "gru"))
    first = evaluate_fold(job)
    evaluate_fold(other)
    assert content_of(job, evaluate_fold(job)) == content_of(job, first)


class Hooked(_NLinearModule):
    """A module that asks Lightning to be called after each epoch."""

    def on_train_epoch_end(self):
        raise AssertionError


class WithHooks(NLinearModel):
    """A model of such a module."""

    def _create_model(self, train_sample):
        own = super()._create_model(train_sample)
        own.__class__ = Hooked
        return own


def test_what_only_lightning_does_is_refused_in_one_line():
    known = {"input_chunk_length": 4, "output_chunk_length": 1}
    model = WithHooks(**known)
    with pytest.raises(UsageError, match=r"^a network must be .* hooks, and Hooked overrides on_train_epoch_end: use "):
        model.fit(TARGET, trainer=NetworkTrainer(model))
    for given in ({"callbacks": ["any"]}, {"accelerator": "gpu"}, {"precision": "bf16"}, {"limit_train_batches": 1}):
        ((name, value),) = given.items()
        said = f"pl_trainer_kwargs may hold gradient_clip_val alone, and NLinearModel has {name}={value!r}: remove it"
        with pytest.raises(UsageError, match=re.escape(said)):
            NetworkTrainer(NLinearModel(**known, pl_trainer_kwargs=given))
    NetworkTrainer(NLinearModel(**known, pl_trainer_kwargs={"accelerator": "auto", "devices": 1, "logger": True}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizer_cls": torch.optim.LBFGS}, "an optimizer must take a step by one gradient, and LBFGS does not"),
        ({"lr_scheduler_cls": torch.optim.lr_scheduler.ReduceLROnPlateau}, "and ReduceLROnPlateau does not"),
        (
            {
                "lr_scheduler_cls": torch.optim.lr_scheduler.StepLR,
                "lr_scheduler_kwargs": {"step_size": 1, "frequency": 3},
            },
            r"after each step or epoch, and StepLR does not \(frequency 3\): use another lr_scheduler_cls",
        ),
    ],
)
def test_steps_that_the_loop_does_not_take_are_refused_in_one_line(given, said):
    model = NLinearModel(4, 1, n_epochs=2, **given)
    with pytest.raises(UsageError, match=said):
        learnt(model, trainer=NetworkTrainer(model))


def test_a_schedule_acts_after_each_epoch_or_after_each_step():
    losses = {}
    for interval in ("epoch", "step"):
        kwargs = {"gamma": 1e-9, "interval": interval}
        schedule = {"lr_scheduler_cls": torch.optim.lr_scheduler.ExponentialLR, "lr_scheduler_kwargs": kwargs}
        model = nlinear()
        losses[interval] = trained(type(model)(**{**model.model_params, **schedule}), 20).losses
    # Only the first epoch moves the weights, or its first step alone.
    assert np.ptp(losses["epoch"]) < 1e-6
    assert np.ptp(losses["step"]) < 1e-6
    assert abs(losses["epoch"][0] - losses["step"][0]) > 1e-2


def test_a_process_that_trains_ends_with_sigterm(tmp_path):
    code = (
        "import os, signal\nimport numpy as np, torch\nfrom darts import TimeSeries\n"
        "from kallos.architectures import create_model\nfrom kallos.scoring.loop import NetworkTrainer\n"
        "randperm = torch.randperm\n"
        "torch.randperm = lambda n: os.kill(os.getpid(), signal.SIGTERM) or randperm(n)\n"
        "model = create_model('nlinear', {'input_chunk_length': 5})\n"
        "model.fit(TimeSeries.from_values(np.zeros((90, 1), np.float32)), trainer=NetworkTrainer(model))\n"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
