"""What a trial draws: what Optuna's own grouped TPE would draw with the same seed and the same history."""

import math
import warnings

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from kallos.architectures.lookup import registry
from kallos.architectures.study_space import study_space
from kallos.study.sampling import TrialSource, trial_seed
from kallos.study.trials import StudyTrial

SEED = "7"
SPACE = study_space("gru,lightgbm,nlinear,ridge")
OBJECTIVES = {
    ("minimize",): lambda params: (value_of(params),),
    ("maximize",): lambda params: (-value_of(params),),
    ("minimize", "maximize"): lambda params: (value_of(params), params["input_chunk_length"]),
}


def value_of(params) -> float:
    """Return a closed form: architectures differ, and each has a best input, and a network a best rate."""
    place = {"gru": 0.3, "lightgbm": 0.1, "nlinear": 0.2, "ridge": 0.0}[params["architecture"]]
    return place + 0.01 * params["input_chunk_length"] + (math.log10(params.get("lr", 1e-3)) + 3) ** 2


def ended(trial, number, params, directions):
    """Return how a trial ends: complete, but each seventh fails, and each fifth of one objective is pruned."""
    values = OBJECTIVES[directions](params)
    state = TrialState.FAIL if number % 7 == 6 else TrialState.COMPLETE
    reports = {}
    if len(directions) == 1:
        reports = {1: values[0], 2: values[0]}
        state = TrialState.PRUNED if number % 5 == 4 and state is TrialState.COMPLETE else state
    return create_trial(
        state=state,
        values=list(values) if state is TrialState.COMPLETE else None,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=reports,
    )


def frozen(trial):
    return trial.study.get_trials(deepcopy=False)[trial.number]


def drawn_by_kallos(directions, n_trials, max_pending_trials, *, restart_at=None):
    def source():
        return TrialSource(
            "a", seed=SEED, max_pending_trials=max_pending_trials, pruner="none", directions=list(directions)
        )

    trials, running, asked = [], [], source()
    for number in range(n_trials):
        if number == restart_at:
            asked = source()
        if number - max_pending_trials >= 0:
            at = number - max_pending_trials
            own, params = running[at], SPACE.draw(running[at])
            end = ended(frozen(own), at, params, directions)
            for step, value in end.intermediate_values.items():
                own.report(value, step)
            own.study.tell(at, end.values, state=end.state)
            trials[at] = StudyTrial(trials[at].begun, frozen(own))
        running.append(asked.ask(trials))
        SPACE.draw(running[-1])
        trials.append(StudyTrial(frozen(running[-1])))
    return [trial.begun.params for trial in trials]


def drawn_by_optuna(directions, n_trials, max_pending_trials):
    """Draw each trial in a study of its own, with the history that it may know."""
    begun, finished = [], []
    for number in range(n_trials):
        n_ended = max(number - max_pending_trials + 1, 0)
        running = [
            create_trial(state=TrialState.RUNNING, params=each.params, distributions=each.distributions)
            for each in begun[n_ended:]
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = TPESampler(seed=trial_seed(SEED, number), group=True, multivariate=True)
        study = optuna.create_study(directions=list(directions), sampler=sampler)
        study.add_trials([*finished[:n_ended], *running])
        trial = study.ask()
        params = SPACE.draw(trial)
        begun.append(frozen(trial))
        finished.append(ended(frozen(trial), number, params, directions))
    return [each.params for each in begun]


@pytest.mark.parametrize("max_pending_trials", [1, 4])
@pytest.mark.parametrize("directions", OBJECTIVES)
def test_trials_are_those_of_optunas_grouped_sampler(directions, max_pending_trials):
    found = drawn_by_kallos(directions, 45, max_pending_trials)
    assert found == drawn_by_optuna(directions, 45, max_pending_trials)
    # Every architecture's group is drawn from, and none takes all.
    assert {params["architecture"] for params in found[20:]} > {"ridge"}


@pytest.mark.parametrize("directions", OBJECTIVES)
def test_a_source_that_begins_with_a_history_draws_as_one_that_saw_it_grow(directions):
    whole = drawn_by_kallos(directions, 40, 3)
    assert drawn_by_kallos(directions, 40, 3, restart_at=23) == whole


def test_a_better_architecture_is_drawn_more_often():
    directions = ("minimize",)
    names = [params["architecture"] for params in drawn_by_kallos(directions, 60, 1)]
    assert names[30:].count("ridge") > names[:10].count("ridge") * 3


def test_each_architectures_defaults_are_drawn_exactly():
    for name in registry():
        alone, several = study_space(name), study_space(f"{name},ridge,gru")
        (draws,) = alone.default_draws()
        trial = optuna.trial.FixedTrial(draws)
        assert alone.draw(trial) == alone.defaults(name) == dict(registry()[name].defaults)
        # Nothing beside what a trial draws.
        assert trial.params == draws
        for other, draws in zip(several.spaces, several.default_draws(), strict=True):
            assert several.draw(optuna.trial.FixedTrial(draws)) == several.defaults(other)


def test_a_default_outside_of_a_table_is_the_nearest_value_inside():
    tables = {
        "hidden_dim": {"low": 40, "high": 64, "step": 8, "log": False},
        "input_chunk_length": [40, 50],
        "lr": {"low": 0.002, "high": 0.01},
        "batch_size": 128,
        "n_rnn_layers": {"low": 2, "high": 3},
    }
    space = study_space("gru", tables).clipped(45)
    (draws,) = space.default_draws()
    assert draws["hidden_dim"] == 40
    assert draws["input_chunk_length"] == 40
    assert draws["lr"] == 0.002
    assert draws["n_rnn_layers"] == 2
    # A value that a file fixes is not drawn; one whose condition holds now is.
    assert "batch_size" not in draws
    assert draws["dropout"] == 0.0
    assert space.defaults("gru")["batch_size"] == 128
    assert space.draw(optuna.trial.FixedTrial(draws)) == space.defaults("gru")
