import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from kallos.choosing.losses import FoldLosses, sample_of
from kallos.choosing.superiority import superior_ability


def losses(levels, *, n=60, folds=4, seed=0):
    """Return losses around these levels, the baseline's first."""
    rng = np.random.default_rng(seed)
    return FoldLosses(
        tuple(
            5 + rng.gamma(1, 1, size=n) + np.array(levels)[:, None] + rng.normal(size=(len(levels), n))
            for _ in range(folds)
        )
    )


def p_value_by_hand(each, *, resamples=4000):
    """Return Hansen's consistent p-value, written out, for losses of one fold."""
    sample = sample_of(each)
    better = sample.rows[:, :1] - sample.rows[:, 1:]
    n, mean = len(better), better.mean(axis=0)
    bootstrap = StationaryBootstrap(sample.block_length, better, seed=5)
    drawn = np.array([data[0][0].mean(axis=0) for data in bootstrap.bootstrap(resamples)])
    error = np.sqrt(n) * drawn.std(axis=0)
    statistic = max(float((np.sqrt(n) * mean / error).max()), 0)
    centre = np.where(np.sqrt(n) * mean / error >= -np.sqrt(2 * np.log(np.log(n))), mean, 0)
    simulated = np.maximum((np.sqrt(n) * (drawn - centre) / error).max(axis=1), 0)
    return (simulated > statistic).mean()


@pytest.mark.parametrize("seed", range(3))
def test_the_p_value_is_hansens(seed):
    # One trial is slightly better, one is far worse, and one varies ten times as much.
    each = losses([0, -0.12, 0, 3, 0], n=400, folds=1, seed=seed)
    each.folds[0][4] += 10 * np.random.default_rng(seed).normal(size=400)
    found = superior_ability(each, "ewma", resamples=3000)
    assert found.p_value == pytest.approx(p_value_by_hand(each), abs=0.03)
    assert (found.trials, found.baseline) == (4, "ewma")


def test_a_trial_that_is_clearly_better_is_found_among_many_that_are_not():
    found = superior_ability(losses([0, *[0.1] * 9, -0.6]), "ewma")
    assert found.p_value < 0.02


def test_where_no_trial_has_a_lower_loss_the_p_value_is_one():
    assert superior_ability(losses([0, 2, 3]), "ewma").p_value == 1.0


def test_trials_that_forecast_what_the_baseline_does_are_no_better():
    each = losses([0])
    assert superior_ability(each.of([0, 0, 0]), "ewma").p_value == 1.0


def test_a_trial_that_is_better_by_a_constant_is_better_for_certain():
    better = FoldLosses(tuple(np.concatenate([fold, fold - 0.1]) for fold in losses([0]).folds))
    assert superior_ability(better, "ewma").p_value == 0.0


def test_more_trials_that_are_no_better_make_the_best_one_less_certain():
    few = losses([0, -0.25, *[0] * 20])
    assert superior_ability(few.of([0, 1]), "ewma").p_value < superior_ability(few, "ewma").p_value


def test_without_enough_origins_or_a_finite_baseline_there_is_no_test():
    assert superior_ability(losses([0, 1], n=4), "ewma") is None
    # 11 blocks of nine origins each.
    assert superior_ability(FoldLosses(losses([0, 1], n=25).folds, overlap=5), "ewma") is None
    each = losses([0, 0])
    each.folds[0][0, 0] = np.inf
    assert superior_ability(each, "ewma") is None
    each = losses([0, 0, -1])
    each.folds[0][1, 0] = np.inf
    assert superior_ability(each, "ewma").p_value < 0.01


def test_a_test_is_the_same_each_time_for_a_seed_and_says_how_it_was_made():
    each = losses([0, -0.1, 0])
    found = superior_ability(each, "ewma", resamples=300)
    assert superior_ability(each, "ewma", resamples=300) == found
    assert superior_ability(each, "ewma", resamples=300, seed=1) != found
    assert "300 resamples" in found.method
    assert "Hansen" in found.source


def test_of_trials_as_good_as_the_baseline_the_best_is_called_better_as_seldom_as_the_level_says():
    rejected = [
        superior_ability(losses([0] * 6, n=40, seed=seed), "ewma", resamples=100).p_value <= 0.1 for seed in range(60)
    ]
    # Two standard errors of a share of 10 % in 60 are 8 %; `benchmarks/choosing.py` has more of them.
    assert 0 < np.mean(rejected) <= 0.18
