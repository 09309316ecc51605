"""The losses of networks against their closed forms, and custom ones."""

import numpy as np
import pytest
import torch
from scipy.special import expit, huber

from kallos.architectures import Units, create_model
from kallos.architectures.losses import LOSSES, get_loss, loss_source
from kallos.errors import UsageError

UNITS = Units(mean=(0.02, -0.5), std=(0.1, 2.0), powers=(2, 1))
MEAN, STD, POWERS = (np.array(values) for values in (UNITS.mean, UNITS.std, UNITS.powers))


def values(seed):
    """Return normalised values of shape (batch, steps, targets)."""
    return np.random.default_rng(seed).normal(size=(5, 3, 2))


def each(name, forecast, actual, **params):
    module = get_loss(name).module({f"loss_{key}": value for key, value in params.items()}, UNITS)
    module.reduction = "none"
    return module(torch.tensor(forecast), torch.tensor(actual)).numpy()


def squared(f, a):
    return (f - a) ** 2


def qlike(f, a):
    ratio = (np.exp(MEAN + STD * a) / np.exp(MEAN + STD * f)) ** POWERS
    return ratio - np.log(ratio) - 1


def directional(f, a, penalty):
    own_forecast, own_actual = MEAN + STD * f, MEAN + STD * a
    return squared(f, a) + penalty * expit(-10 * own_forecast / STD * np.sign(own_actual))


@pytest.mark.parametrize(
    ("name", "params", "closed_form"),
    [
        ("mse", {}, squared),
        ("mae", {}, lambda f, a: np.abs(f - a)),
        ("huber", {"delta": 0.4}, lambda f, a, delta: huber(delta, f - a)),
        ("directional", {"penalty": 0.7}, directional),
        ("qlike", {}, qlike),
    ],
)
def test_a_loss_is_its_closed_form_and_so_is_its_gradient(name, params, closed_form):
    forecast, actual = values(1), values(2)
    np.testing.assert_allclose(
        each(name, forecast, actual, **params), closed_form(forecast, actual, **params), rtol=1e-6
    )
    module = get_loss(name).module({f"loss_{key}": value for key, value in params.items()}, UNITS)
    expected = closed_form(forecast, actual, **params).mean()
    np.testing.assert_allclose(module(torch.tensor(forecast), torch.tensor(actual)).item(), expected, rtol=1e-6)
    # By finite differences.
    assert torch.autograd.gradcheck(module, (torch.tensor(forecast, requires_grad=True), torch.tensor(actual)))


def test_a_clear_wrong_sign_costs_the_penalty_and_a_clear_right_one_nothing():
    # In own units the first target is .02 + .1 f: a forecast of -.1 f below -.2 is negative.
    forecast, actual = np.full((1, 1, 2), 3.0), np.array([[[-3.0, 3.0]]])
    penalties = each("directional", forecast, actual, penalty=0.7) - squared(forecast, actual)
    np.testing.assert_allclose(penalties[0, 0], [0.7, 0.0], atol=1e-9)


def test_signs_are_those_of_the_targets_own_units():
    # Normalised the two have other signs, and in own units the same: .02 + .1 (-.1) and .02 + .1 (1).
    forecast, actual = np.full((1, 1, 2), -0.1), np.full((1, 1, 2), 1.0)
    first, second = (each("directional", forecast, actual, penalty=1.0) - squared(forecast, actual))[0, 0]
    assert first == pytest.approx(expit(-10 * 0.1))
    # Of the second target, with a mean of -.5 and a standard deviation of 2, they are -.7 and 1.5.
    assert second == pytest.approx(expit(10 * 0.35))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_weighs_its_samples(name):
    loss = get_loss(name)
    module = loss.module(loss.network_defaults, UNITS)
    forecast, actual = torch.tensor(values(1)), torch.tensor(values(2))
    mean = module(forecast, actual)
    # Darts sets this, asks for the shape of a matrix's loss, and then weighs each value.
    module.reduction = "none"
    assert module(torch.ones(2, 2), torch.zeros(2, 2)).shape == (2, 2)
    assert module(forecast, actual).shape == actual.shape
    assert module(forecast, actual).mean().item() == pytest.approx(mean.item())


def test_a_large_delta_is_half_the_squared_error_and_a_small_one_follows_the_absolute_error():
    forecast, actual = values(1), values(2)
    np.testing.assert_allclose(each("huber", forecast, actual, delta=99.0), squared(forecast, actual) / 2)
    small = each("huber", forecast, actual, delta=1e-6) / 1e-6
    np.testing.assert_allclose(small, np.abs(forecast - actual), atol=1e-6)


OWN = """
import torch
from kallos.architectures.space import Float

class Pinball(torch.nn.Module):
    space = {"level": Float(low=0.1, high=0.9)}
    defaults = {"level": 0.9}

    def __init__(self, level):
        super().__init__()
        self.level = level

    def forward(self, forecast, actual):
        above = actual - forecast
        return torch.maximum(self.level * above, (self.level - 1) * above)

class WithUnits(torch.nn.Module):
    def __init__(self, units):
        super().__init__()
        self.std = torch.tensor(units.std)

    def forward(self, forecast, actual):
        return (self.std * (forecast - actual)) ** 2

class OfAll(torch.nn.Module):
    def forward(self, forecast, actual):
        return (forecast - actual).square().mean()

class WithoutGradient(torch.nn.Module):
    def forward(self, forecast, actual):
        return (forecast > actual).float()

class Lone(Pinball):
    defaults = {}

class Strange(Pinball):
    space = {"level": (0.1, 0.9)}

function = print
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_custom_loss_is_a_class_of_torch_with_parameters_of_its_own(own):
    loss = get_loss("own_losses:Pinball")
    assert list(loss.network_space) == ["loss_level"]
    assert loss.network_defaults == {"loss_level": 0.9}
    forecast, actual = values(1), values(2)
    above = actual - forecast
    expected = np.where(above > 0, 0.2 * above, -0.8 * above)
    np.testing.assert_allclose(each("own_losses:Pinball", forecast, actual, level=0.2), expected)
    np.testing.assert_allclose(
        each("own_losses:WithUnits", forecast, actual), (STD * (forecast - actual)) ** 2, rtol=1e-6
    )
    # One of torch's reduces by itself.
    np.testing.assert_allclose(each("torch.nn:SmoothL1Loss", forecast, actual), huber(1.0, forecast - actual))


def test_the_hash_of_a_custom_loss_is_that_of_its_text(own):
    (own / "same_losses.py").write_text(OWN)
    (own / "other_losses.py").write_text(OWN.replace("0.9}", "0.8}"))
    same, other = (loss_source(f"{name}_losses:Pinball") for name in ("same", "other"))
    assert loss_source("own_losses:Pinball") == same != other
    assert loss_source("huber") is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hubr", "loss must be one of mse, mae, .*, not 'hubr': did you mean 'huber'"),
        ("own_losses:Nothing", "loss must be the module:NAME of a class, and 'own_losses:Nothing' cannot be imported"),
        ("own_losses:function", "loss must name a class of torch.nn.Module, and 'own_losses:function' is builtin_func"),
        ("collections:OrderedDict", "loss must name a class of torch.nn.Module, and .* is OrderedDict"),
        ("own_losses:OfAll", "must have the shape of the forecasts, \\(2, 3, 1\\), and OfAll has \\(\\)"),
        ("own_losses:WithoutGradient", "return a loss for each value and its gradient, not RuntimeError"),
        ("own_losses:Lone", "the same parameters in its space and its defaults, and 'level' is in one of them"),
        ("own_losses:Strange", "a loss must have a space of Int, Float, .*: fix 'own_losses:Strange'"),
    ],
)
def test_an_unsound_loss_is_refused_in_one_line(own, name, message):
    with pytest.raises(UsageError, match=message) as raised:
        get_loss(name)
    assert "\n" not in str(raised.value)


def test_a_model_has_the_parameters_of_its_loss_and_no_others():
    def loss_of(model):
        return model.model_params["loss_fn"]

    module = loss_of(create_model("gru", {"loss_delta": 0.5}, loss="huber"))
    forecast, actual = torch.tensor(values(1)), torch.tensor(values(2))
    assert module(forecast, actual).item() == pytest.approx(huber(0.5, values(1) - values(2)).mean())
    # Those of TFT too, which has a loss of its own.
    assert type(loss_of(create_model("tft", loss="mae"))) is type(module)
    with pytest.raises(UsageError, match="gru has no parameter 'loss_delta'"):
        create_model("gru", {"loss_delta": 0.5})
    with pytest.raises(UsageError, match="gru has no parameter 'loss_delta': did you mean 'loss_penalty'"):
        create_model("gru", {"loss_delta": 0.5}, loss="directional")
    with pytest.raises(UsageError, match="quantiles are learnt by a loss of their own, and loss is 'mae'"):
        create_model("gru", loss="mae", quantiles=(0.1, 0.5, 0.9))
    # A regression has a loss of its own.
    assert type(create_model("ridge", loss="huber")) is type(create_model("ridge"))
