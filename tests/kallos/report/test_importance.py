import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from kallos.report.importance import drawn_trials, importance_of, search_space
from tests.report_samples import study_result


def test_trials_of_a_study_have_the_space_that_they_were_drawn_from(tmp_path):
    result = study_result(tmp_path)
    drawn = drawn_trials(result)
    assert [trial.value for trial in drawn] == [trial.value for trial in result.trials]
    assert drawn[2].state is TrialState.FAIL
    space = search_space(drawn)
    assert space["lr"] == FloatDistribution(1e-4, 1e-2, log=True)
    assert space["batch_size"] == CategoricalDistribution((32, 64, 128))
    # The space holds these two constant.
    assert set(space) == set(result.best_params) - {"gradient_clip_val", "lr_decay"}


def test_a_study_of_another_space_has_none(tmp_path):
    result = study_result(tmp_path)
    trials = tuple(trial.model_copy(update={"params": {"units": 3}}) for trial in result.trials)
    assert drawn_trials(result.model_copy(update={"trials": trials})) == []


def trials_of(value, n=64):
    """Trials on a grid of two parameters and one that only every second draws."""
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    sometimes = {"z": FloatDistribution(0, 1)}
    return [
        create_trial(
            value=value(number % 8 / 7, number // 8 / 7),
            params={"x": number % 8 / 7, "y": number // 8 / 7, **({"z": 0.5} if number % 2 else {})},
            distributions={**space, **(sometimes if number % 2 else {})},
        )
        for number in range(n)
    ]


def test_importance_is_the_share_of_the_variance_that_a_parameter_explains():
    # Without interaction, the shares are those of the variances: 4 to 1.
    importance = importance_of(trials_of(lambda x, y: 2 * x + y))
    assert importance is not None
    assert list(importance.shares) == ["x", "y"]
    assert importance.shares["x"] == pytest.approx(0.8, abs=0.05)
    assert (importance.left_out, importance.trials) == (("z",), 64)
    assert importance == importance_of(trials_of(lambda x, y: 2 * x + y))


def test_there_is_no_importance_where_there_is_nothing_to_learn_it_from():
    assert importance_of(trials_of(lambda x, y: x, n=9)) is None
    assert importance_of(trials_of(lambda x, y: 1.0)) is None
