"""The loss of a study: which it may be, and what it adds to the search space."""

import optuna
import pytest

from kallos.architectures.study_space import study_space
from kallos.errors import UsageError
from kallos.scoring.job import FitSpec
from kallos.specs.study import parse_space, parse_tune_spec
from tests.samples import small_plan

ONE = {"model_name": "gru", "data": {"asset_id": "A"}}
LOGS = {"features": {"target": "log_range", "target_transform": "log"}}


def spec_of(loss, **over):
    return parse_tune_spec({**ONE, **over, "training": {"loss": loss}})


@pytest.mark.parametrize(
    ("loss", "over", "message"),
    [
        ("hubr", {}, "training.loss must be one of mse, .*, not 'hubr': did you mean 'huber'"),
        ("mae", {"likelihood": "quantile"}, "likelihood 'quantile' is a loss of its own, beside loss 'mae': remove"),
        (
            "mae",
            {"model_name": "har,ridge"},
            "loss 'mae' is for networks, and the study names none: remove it",
        ),
        ("qlike", {}, "loss 'qlike' needs positive forecasts: set target_transform to 'log'"),
        (
            "directional",
            LOGS,
            "loss 'directional' needs a target with signs, and target_transform 'log' a positive",
        ),
        ("directional", {"data": {"asset_id": ["A", "B"]}}, "loss 'directional' needs a single asset, because each"),
        ("huber", {"space": {"loss_penalty": 2.0}}, "space.loss_penalty must be a parameter of gru: did you mean"),
        ("mae", {"space": {"loss_delta": 2.0}}, "space.loss_delta must be a parameter of gru"),
        ("huber", {"space": {"loss_delta": {"low": -1.0}}}, "space.loss_delta"),
    ],
)
def test_a_loss_that_does_not_fit_the_study_is_refused_in_one_line(loss, over, message):
    with pytest.raises(UsageError, match=message) as raised:
        spec_of(loss, **over)
    assert "\n" not in str(raised.value)


def test_a_loss_that_fits_is_taken():
    for loss, over in {
        "qlike": LOGS,
        "huber": {"data": {"asset_id": ["A", "B"]}},
        "mae": {"model_name": "gru,ridge"},
        "directional": {"features": {"target": ["a", "b"]}},
    }.items():
        assert spec_of(loss, **over).training.loss == loss


def test_a_network_draws_the_parameters_of_its_loss_last_and_a_regression_does_not():
    spaces = spec_of("huber", model_name="gru,ridge").search_space.spaces
    assert list(spaces["gru"])[-1] == "loss_delta"
    assert "loss_delta" not in spaces["ridge"]
    assert spec_of("huber").search_space.document()["gru"]["loss_delta"]["default"] == 1.0
    # A study file changes them like others.
    narrow = {"loss_delta": {"high": 0.5}, "nhits": {"loss_delta": 0.3}}
    assert parse_space("gru", narrow, "huber").spaces["gru"]["loss_delta"].high == 0.5
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [study_space("gru", narrow, "huber").draw(study.ask())["loss_delta"] for _ in range(20)]
    assert all(0.1 <= delta <= 0.5 for delta in drawn)


def test_another_loss_makes_another_study(tmp_path):
    names = {
        loss: small_plan(tmp_path, model_name="nlinear", training={"loss": loss}).study_name for loss in ("mse", "mae")
    }
    assert names["mse"] != names["mae"]


def test_a_fit_has_the_parameters_of_its_loss(tmp_path):
    plan = small_plan(tmp_path, model_name="nlinear,ridge", training={"loss": "directional"})
    of_network, of_regression = (FitSpec.of(plan.spec, plan.space.defaults(name)) for name in ("nlinear", "ridge"))
    assert of_network.params["loss_penalty"] == 0.3
    assert "loss_penalty" not in of_regression.params
