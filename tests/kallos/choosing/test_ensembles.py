from itertools import combinations_with_replacement

import numpy as np
import pytest

from kallos.choosing.ensembles import Candidates, ensemble_of, on_later_folds, pick, reduced
from kallos.scoring.metrics import rmse
from kallos.study.choice import Ensemble, Member


def mean_of(forecasts, weights):
    return np.average(forecasts, axis=0, weights=weights)


def candidates(forecasts, actual, numbers=None, direction="minimize"):
    """Return the candidates of forecasts of shape (trials, folds, rows), scored by the RMSE or its negative."""
    sign = 1 if direction == "minimize" else -1
    numbers = tuple(range(len(forecasts))) if numbers is None else numbers
    of_number = dict(zip(numbers, forecasts, strict=True))
    return Candidates(
        numbers,
        len(actual),
        lambda fold, trial: of_number[trial][fold],
        mean_of,
        lambda fold, forecast: sign * rmse(forecast - actual[fold]),
        direction,
    )


def simulated(trials, folds=5, rows=30, *, seed=0, errors=0.5):
    rng = np.random.default_rng(seed)
    actual = rng.normal(size=(folds, rows))
    return actual + errors * rng.normal(size=(trials, folds, rows)), actual


def score(forecasts, actual, picks, folds):
    """Return the mean over the folds of the RMSE of the mean forecast."""
    mixed = sum(forecasts[trial] for trial in picks) / len(picks)
    return np.mean([np.sqrt(np.mean((mixed[fold] - actual[fold]) ** 2)) for fold in folds])


def greedy(forecasts, actual, folds, most=5):
    """Return the best of the ensembles on the greedy way, by plain loops."""
    picks, way = [], []
    for _ in range(most):
        scores = [score(forecasts, actual, [*picks, trial], folds) for trial in range(len(forecasts))]
        picks.append(scores.index(min(scores)))
        way.append((min(scores), list(picks)))
    return min(way, key=lambda each: (round(each[0], 12), len(each[1])))[1]


@pytest.mark.parametrize("seed", range(6))
def test_picks_are_those_of_the_greedy_way_by_plain_loops(seed):
    forecasts, actual = simulated(6, seed=seed)
    assert sorted(pick(candidates(forecasts, actual), range(4))) == sorted(greedy(forecasts, actual, range(4)))


@pytest.mark.parametrize("seed", range(4))
def test_two_picks_are_the_best_pair_that_contains_the_best_trial(seed):
    forecasts, actual = simulated(5, seed=seed)
    best = min(range(5), key=lambda trial: score(forecasts, actual, [trial], range(5)))
    pairs = [pair for pair in combinations_with_replacement(range(5), 2) if best in pair]
    expected = min(pairs, key=lambda pair: score(forecasts, actual, pair, range(5)))
    assert pick(candidates(forecasts, actual), range(5), most=2) == expected


def test_a_trial_may_be_picked_again_to_weigh_more():
    # Of the weights in fifths .6 and .4 are best, as the errors of variance one and 1.5 are independent.
    rng = np.random.default_rng(1)
    actual = rng.normal(size=(4, 4000))
    forecasts = actual + np.array([1, 1.5**0.5])[:, None, None] * rng.normal(size=(2, 4, 4000))
    ensemble = ensemble_of(candidates(forecasts, actual, (4, 9)), {4: {"a": 1}, 9: {"a": 2}})
    assert ensemble.members == (
        Member(trial=4, params={"a": 1}, weight=0.6),
        Member(trial=9, params={"a": 2}, weight=0.4),
    )
    assert [ensemble.times(member) for member in ensemble.members] == [3, 2]
    assert ensemble.picks == 5
    assert ensemble.value == pytest.approx(score(forecasts, actual, [0, 0, 0, 1, 1], range(4)))


def test_a_trial_that_no_other_improves_is_alone_and_counts_once():
    forecasts, actual = simulated(3)
    forecasts[1] = actual
    ensemble = ensemble_of(candidates(forecasts, actual), {0: {}, 1: {}, 2: {}})
    assert ensemble.members == (Member(trial=1, params={}, weight=1),)


def test_of_equal_trials_the_earlier_is_picked():
    forecasts, actual = simulated(3)
    twice = np.concatenate([forecasts, forecasts])
    numbers = (2, 3, 5, 7, 11, 13)
    assert set(pick(candidates(twice, actual, numbers), range(5))) <= {2, 3, 5}


@pytest.mark.parametrize(("picks", "expected"), [((7, 3, 3, 7), (3, 7)), ((2, 2, 2), (2,)), ((1, 2, 1), (1, 1, 2))])
def test_picks_of_the_same_weights_are_the_same(picks, expected):
    assert reduced(picks) == expected


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_worth_on_later_folds_is_that_of_a_plain_loop(direction):
    forecasts, actual = simulated(6, seed=3)
    own, best = [], []
    for fold in range(1, 5):
        own.append(score(forecasts, actual, greedy(forecasts, actual, range(fold)), [fold]))
        alone = [score(forecasts, actual, [trial], range(fold)) for trial in range(6)]
        best.append(score(forecasts, actual, [alone.index(min(alone))], [fold]))
    sign = 1 if direction == "minimize" else -1
    saving_is = "share" if direction == "minimize" else "difference"
    later = on_later_folds(candidates(forecasts, actual, direction=direction), saving_is=saving_is)
    assert later.value == pytest.approx(sign * np.mean(own))
    assert later.best_value == pytest.approx(sign * np.mean(best))
    difference = np.mean(best) - np.mean(own)
    assert later.saving == pytest.approx(difference / np.mean(best) if direction == "minimize" else difference)
    assert (later.won, later.folds) == (sum(np.array(own) < best), 4)


def test_what_a_fold_says_of_itself_and_of_those_before_it_does_not_count_in_its_score():
    forecasts, actual = simulated(5)
    read = []

    def forecast_of(fold, trial):
        read.append(fold)
        return forecasts[trial, fold]

    some = Candidates(tuple(range(5)), 5, forecast_of, mean_of, lambda fold, each: rmse(each - actual[fold]))
    pick(some, range(3))
    assert set(read) == {0, 1, 2}


def test_a_forecast_that_is_not_a_number_is_never_picked():
    forecasts, actual = simulated(3)
    forecasts[0, 2] = np.nan
    assert 0 not in pick(candidates(forecasts, actual), range(5))


@pytest.mark.parametrize(("trials", "folds"), [(1, 5), (3, 3)])
def test_one_trial_or_three_folds_make_no_ensemble(trials, folds):
    assert ensemble_of(candidates(*simulated(trials, folds)), {trial: {} for trial in range(trials)}) is None


def test_where_the_best_trials_make_no_error_there_is_no_share_to_save():
    _, actual = simulated(2)
    perfect = np.stack([actual, actual])
    assert on_later_folds(candidates(perfect, actual)).saving is None


def test_an_ensemble_can_be_written_and_read():
    ensemble = ensemble_of(candidates(*simulated(4)), {trial: {"units": trial} for trial in range(4)})
    assert Ensemble.model_validate_json(ensemble.model_dump_json()) == ensemble


def test_what_ensembles_save_on_later_folds_is_what_they_save_on_fresh_rows():
    later, fresh = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        actual = rng.normal(size=(6, 40))
        # Trials that know nothing, whose errors are partly common.
        forecasts = 0.2 * rng.normal(size=(6, 40)) + 0.2 * rng.normal(size=(8, 6, 40))
        ensemble = ensemble_of(candidates(forecasts[:, :5], actual[:5]), {trial: {} for trial in range(8)})
        best = min(range(8), key=lambda trial, all_=forecasts, y=actual: score(all_, y, [trial], range(5)))
        picks = [member.trial for member in ensemble.members for _ in range(ensemble.times(member))]
        later.append(ensemble.on_later_folds.saving)
        fresh.append(1 - score(forecasts, actual, picks, [5]) / score(forecasts, actual, [best], [5]))
    # The standard error of the mean of 40 savings is .003 on later folds, and .005 on fresh rows.
    assert np.mean(later) == pytest.approx(np.mean(fresh), abs=0.015)
