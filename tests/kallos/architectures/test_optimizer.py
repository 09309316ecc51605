"""Weight decay, clipping of gradients and decay of the learning rate, and that their defaults change nothing."""

import numpy as np
import pytest
import torch
from darts import TimeSeries

from kallos.architectures import create_model, get_architecture, registry
from kallos.architectures.recipe import OPTIMIZER_DEFAULTS
from kallos.architectures.space import Categorical, Constant, Float
from kallos.architectures.study_space import study_space
from kallos.errors import UsageError
from kallos.scoring.loop import NetworkTrainer
from kallos.scoring.training import quiet_single_thread
from kallos.specs.study import parse_space

NETWORKS = [name for name, each in registry().items() if each.stops_early]
SERIES = TimeSeries.from_values(np.random.default_rng(0).normal(size=(120, 1)).astype(np.float32))


def weights(max_epochs, **params):
    """Return the weights of a linear layer after some epochs."""
    model = create_model("nlinear", {"input_chunk_length": 5, **params}, max_epochs=max_epochs)
    with quiet_single_thread():
        model.fit(SERIES, trainer=NetworkTrainer(model))
    return torch.cat([each.detach().flatten() for each in model.model.parameters()])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_them_in_its_space_and_not_by_default(name):
    architecture = get_architecture(name)
    assert {key: architecture.defaults[key] for key in OPTIMIZER_DEFAULTS} == OPTIMIZER_DEFAULTS
    assert architecture.space.keys() >= OPTIMIZER_DEFAULTS.keys()


def test_without_them_the_steps_are_those_of_adam():
    model = create_model("nlinear", {"input_chunk_length": 5}, max_epochs=3)
    plain = {
        "optimizer_cls": torch.optim.Adam,
        "optimizer_kwargs": {"lr": 1e-3, "fused": True},
        "lr_scheduler_cls": None,
    }
    by_adam = type(model)(**{**model.model_params, **plain})
    with quiet_single_thread():
        by_adam.fit(SERIES, trainer=NetworkTrainer(by_adam))
    assert torch.equal(torch.cat([each.detach().flatten() for each in by_adam.model.parameters()]), weights(3))


def test_weight_decay_shrinks_the_weights_by_its_product_with_the_learning_rate():
    # With a product of 1 each step starts from zero, and a step of Adam is hardly larger than the learning rate.
    assert weights(20, lr=0.01, weight_decay=100.0).abs().max() < 0.03
    assert weights(20, lr=0.01).abs().max() > 0.1


def test_a_gradient_that_is_clipped_to_next_to_nothing_moves_no_weight():
    first = weights(0)
    # Steps of Adam do not depend on the gradient's size, until it is far below the 1e-8 beside it.
    torch.testing.assert_close(weights(5, lr=0.01, gradient_clip_val=1e-14), first, rtol=0, atol=1e-6)
    assert (weights(5, lr=0.01) - first).abs().max() > 0.01


def test_the_learning_rate_decays_after_each_epoch_whatever_the_number_of_epochs():
    torch.testing.assert_close(weights(4, lr_decay=1e-9), weights(1), rtol=0, atol=1e-7)
    assert (weights(4) - weights(1)).abs().max() > 1e-3
    # In an epoch of two steps, and with half the rate after it.
    assert torch.equal(weights(1, lr_decay=0.5), weights(1))


def test_a_study_file_draws_or_fixes_them():
    tables = {
        "gradient_clip_val": [0.0, 1.0],
        "lr_decay": 0.9,
        "weight_decay": {"type": "float", "low": 0.0, "high": 1.0},
    }
    own = study_space("gru", tables).spaces["gru"]
    assert own["gradient_clip_val"] == Categorical(choices=(0.0, 1.0))
    assert own["lr_decay"] == Constant(value=0.9)
    assert own["weight_decay"] == Float(low=0.0, high=1.0)
    with pytest.raises(UsageError, match=r"space.lr_decay must be 1 or less, not 1\.1"):
        parse_space("gru", {"lr_decay": 1.1})


def test_a_recipe_may_leave_them_out(tmp_path, monkeypatch):
    (tmp_path / "lean.py").write_text(
        "from kallos.architectures import Architecture, darts_arguments\n"
        "from kallos.architectures.space import Int\n\n"
        "def build(params, context):\n"
        "    from darts.models import NLinearModel\n\n"
        "    return NLinearModel(**darts_arguments({**params, 'lr': 1e-3}, context))\n\n"
        "LEAN = Architecture('lean', {'input_chunk_length': Int(low=2, high=9)}, {'input_chunk_length': 5}, build)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert create_model("lean:LEAN").model_params["optimizer_kwargs"] == {
        "lr": 1e-3,
        "weight_decay": 0.0,
        "fused": True,
    }
