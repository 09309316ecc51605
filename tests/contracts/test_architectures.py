"""What every architecture keeps to, whichever are there: a new one is tested by being added."""

import math
from dataclasses import replace

import numpy as np
import optuna
import pytest

from kallos.architectures import create_model, get_architecture, registry
from kallos.errors import UsageError
from kallos.scoring import evaluate_fold, fit_fold, forecast_fold
from tests.samples import make_features, small_job

NAMES = sorted(registry())


class CornerTrial:
    """Draws one end of every range; `end` 0 is the lowest and the first choice, 1 the highest and the last."""

    def __init__(self, end: int) -> None:
        self._end = end

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return (low, high)[self._end]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return (low, high)[self._end]

    def suggest_categorical(self, name, choices):
        return choices[-self._end]


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def test_the_names_of_the_first_architectures_are_there():
    assert {"gru", "lstm", "transformer"} <= set(NAMES)


@pytest.mark.parametrize("end", [0, 1])
def test_every_corner_of_the_space_fits_and_forecasts(name, end, tmp_path):
    params = get_architecture(name).suggest(CornerTrial(end))
    score = evaluate_fold(replace(small_job(tmp_path, model_name=name, training={"max_epochs": 1}), params=params))
    assert math.isfinite(score.rmse)
    assert params["input_chunk_length"] <= get_architecture(name).longest_input


def test_whatever_is_drawn_is_a_full_set_of_parameters_of_plain_values(name):
    architecture = get_architecture(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        params = architecture.suggest(study.ask())
        assert params.keys() == architecture.defaults.keys()
        assert {type(value) for value in params.values()} <= {int, float, bool, str}
        create_model(name, params)


def test_the_same_job_has_the_same_score_to_the_bit(name, tmp_path):
    job = small_job(tmp_path, model_name=name)
    assert evaluate_fold(job).rmse == evaluate_fold(job).rmse


@pytest.mark.parametrize("label_horizon", [0, 3])
def test_forecasts_keep_to_the_horizon_and_see_no_future(name, label_horizon, tmp_path):
    spec = {"model_name": name, "horizon": 3, "features": {"label_horizon": label_horizon}}
    frame = make_features()
    job = small_job(tmp_path, frame, **spec)
    changed = frame.copy()
    changed.iloc[label_horizon + job.fold.validation_start + 10 :] *= 2
    fitted = fit_fold(job)
    before = forecast_fold(job, fitted)
    after = forecast_fold(job, replace(fitted, prepared=fit_fold(small_job(tmp_path, changed, **spec)).prepared))
    assert before.shape == (40 - 3 + 1, 3)
    # The first changed row is the tenth of the window, and known to no origin before it.
    n_same = 10 + max(label_horizon, 1)
    np.testing.assert_array_equal(before[:n_same], after[:n_same])
    assert not np.array_equal(before, after)


def test_a_target_without_covariates_is_enough(name, tmp_path):
    frame = make_features()[["log_return_close"]]
    assert math.isfinite(evaluate_fold(small_job(tmp_path, frame, model_name=name)).rmse)


def test_each_model_gets_callbacks_of_its_own(name):
    made = []
    for _ in range(2):
        create_model(name, make_callbacks=lambda: made.append([object()]) or made[-1])
    assert len(made) == 2


def test_a_parameter_that_it_does_not_have_is_refused(name):
    with pytest.raises(
        UsageError, match=f"{name} has no parameter 'input_chunk_lenght': did you mean 'input_chunk_len"
    ):
        create_model(name, {"input_chunk_lenght": 3})


def test_a_name_with_a_typo_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="not 'lstn': did you mean 'lstm'"):
        create_model("lstn")


def test_the_heads_of_a_transformer_divide_its_width():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    drawn = [get_architecture("transformer").suggest(study.ask()) for _ in range(50)]
    assert all(params["d_model"] % params["nhead"] == 0 for params in drawn)
    assert len({(params["d_model"], params["nhead"]) for params in drawn}) > 6


def test_one_recurrent_layer_draws_no_dropout():
    params = get_architecture("gru").suggest(CornerTrial(0))
    assert (params["n_rnn_layers"], params["dropout"]) == (1, 0.0)
