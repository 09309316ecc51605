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
    """A study whose second fold is ten times as hard as its first one, and whose first trial is the best."""
    study = optuna.create_study()
    for scores in [(1, 10, 4), (2, 10, 4), (1, 12, 4), (4, 13, 7)]:
        study.add_trial(complete(*scores))
    return study


# Differences to the best trial: (1, 0, 0), (0, 2, 0), (3, 3, 3). Their squares around the means of each, 2/3 + 8/3 + 0,
# over 3 trials x 2 degrees of freedom: a scatter of sqrt(5/9) = .745. Times 1.5 it is 1.118; times sqrt(1/1 - 1/3) .913
# after one fold, and times sqrt(1/2 - 1/3) .456 after two.
@pytest.mark.parametrize(
    ("scores", "pruned"),
    [
        ((1.91,), False),
        ((1.92,), True),
        ((1.0, 10.91), False),
        ((1.0, 10.92), True),
        ((3.0, 8.91), False),
        ((3.0, 8.92), True),
    ],
)
def test_a_trial_is_compared_to_the_best_one_on_the_same_folds(study, scores, pruned):
    assert is_pruned(study, *scores) == pruned


def test_of_a_score_that_is_maximized_the_least_ones_are_ended(study):
    other = optuna.create_study(direction="maximize")
    for trial in study.trials:
        other.add_trial(complete(*(-score for score in trial.intermediate_values.values())))
    assert not is_pruned(other, -1.91)
    assert is_pruned(other, -1.92)


def test_pruned_failed_and_infinite_trials_are_not_compared_with(study):
    for _ in range(20):
        study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.1}))
        study.add_trial(create_trial(state=TrialState.FAIL))
        study.add_trial(complete(0.1, 10, float("inf")))
    assert not is_pruned(study, 1.91)
    assert is_pruned(study, 1.92)


def test_nothing_is_ended_before_enough_trials_are_complete():
    study = optuna.create_study()
    for scores in [(1, 1), (1, 1), (1, 3)]:
        study.add_trial(complete(*scores))
    assert not is_pruned(study, 9.0)
    study.add_trial(complete(1, 1))
    assert is_pruned(study, 9.0)


def test_trials_that_do_not_differ_end_nothing():
    study = optuna.create_study()
    for _ in range(9):
        study.add_trial(complete(1, 1))
    assert not is_pruned(study, 9.0)


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
