import optuna
import pytest
from optuna.trial import TrialState, create_trial

from kallos.errors import UsageError
from kallos.specs.study import parse_tune_spec
from kallos.study.pruning import FoldPruner
from kallos.tuner import run_tuning
from tests.samples import by_parameters, error_by_parameters, small_plan


def complete(*scores: float) -> optuna.trial.FrozenTrial:
    folds = dict(enumerate(scores, start=1))
    return create_trial(state=TrialState.COMPLETE, value=sum(scores) / len(scores), intermediate_values=folds)


def is_pruned(study: optuna.Study, *scores: float, pruner=None) -> bool:
    running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(scores, start=1)))
    return (pruner or FoldPruner()).prune(study, running)


@pytest.fixture
def study() -> optuna.Study:
    """A study whose second fold is ten times as hard as its first one."""
    study = optuna.create_study()
    for first, second in [(1, 12), (2, 10), (3, 11), (4, 14), (5, 20)]:
        study.add_trial(complete(first, second))
    return study


@pytest.mark.parametrize(
    ("scores", "pruned"),
    [
        ((2.3,), False),  # A third of the way through the first folds (1, 2, 3, 4, 5) is 2 1/3 ...
        ((2.4,), True),
        ((9.0, 3.0), False),  # ... and through the means of both (6, 6.5, 7, 9, 12.5) 6 2/3.
        ((1.0, 12.3), False),
        ((1.0, 12.4), True),
    ],
)
def test_means_over_the_same_folds_are_compared(study, scores, pruned):
    assert is_pruned(study, *scores) == pruned


def test_pruned_and_failed_trials_are_not_compared_with(study):
    for _ in range(20):
        study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.1}))
        study.add_trial(create_trial(state=TrialState.FAIL))
    assert not is_pruned(study, 2.3)


def test_nothing_is_ended_before_enough_trials_are_complete():
    study = optuna.create_study()
    for _ in range(3):
        study.add_trial(complete(1, 1))
    assert not is_pruned(study, 100)
    study.add_trial(complete(1, 1))
    assert is_pruned(study, 100)


def test_a_pruned_trial_is_never_the_best(tmp_path):
    plan = small_plan(tmp_path, n_trials=40, folds={"n_folds": 3, "window": 40})
    result = run_tuning(plan, evaluate=by_parameters)
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert len(pruned) > 5
    assert {trial.value for trial in pruned} == {None}
    assert {len(trial.scores) for trial in pruned} <= {1, 2}
    assert result.best.state == "complete"
    assert len(result.best.scores) == 3
    assert result.saved == sum(3 - len(trial.scores) for trial in pruned) / 120


def test_a_full_run_has_no_better_trial_among_the_same_ones(tmp_path):
    """Where folds agree about the order of trials, ending the worse half early costs nothing."""
    pruned = run_tuning(small_plan(tmp_path, n_trials=30), evaluate=by_parameters)
    values = [sum(error_by_parameters(job) for job in jobs) / 2 for jobs in _jobs(tmp_path, pruned)]
    assert min(values) == pytest.approx(pruned.best_value)


def _jobs(tmp_path, result):
    plan = small_plan(tmp_path)
    return [plan.trial_jobs(trial.number, trial.params) for trial in result.trials]


def test_an_unknown_pruner_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="pruner must be 'folds', 'none' or 'median', not 'medain'"):
        parse_tune_spec({"data": {"asset_id": "ABC"}, "pruner": "medain"})
