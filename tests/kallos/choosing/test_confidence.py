import numpy as np
import pytest
from arch.bootstrap import MCS

from kallos.choosing.confidence import confidence_set, simplest
from kallos.choosing.losses import FoldLosses, sample_of
from kallos.specs.metrics import BUILT_IN
from kallos.study.choice import ConfidenceSet
from kallos.study.trials import TrialRecord


def losses(levels, *, n=60, folds=4, seed=0, spread=1.0):
    """Return losses around these levels; what varies with the origin is common to all, beside a part of each."""
    rng = np.random.default_rng(seed)
    return FoldLosses(
        tuple(
            5 + rng.gamma(1, 1, size=n) + np.array(levels)[:, None] + spread * rng.normal(size=(len(levels), n))
            for _ in range(folds)
        )
    )


def complete(number, value, params=None):
    own = params or {"units": number}
    return TrialRecord(number=number, state="complete", params=own, value=value, values={"rmse": value}, scores=())


def of_arch(each, statistic):
    """Return the p-values of arch's own bootstrap, as a list, for one fold."""
    sample = sample_of(each)
    test = MCS(sample.rows, 0.1, reps=4000, block_size=sample.block_length, method=statistic, seed=1)
    test.compute()
    return test.pvalues["Pvalue"].sort_index().to_numpy()


@pytest.mark.parametrize("statistic", ["max", "R"])
def test_on_a_single_fold_the_p_values_are_those_of_arch(statistic):
    each = losses([0, 0.1, 0.2, 0.3, 2], n=200, folds=1)
    found = confidence_set([3, 5, 8, 9, 11], each, statistic=statistic, resamples=4000)
    assert list(found.p_values) == [3, 5, 8, 9, 11]
    np.testing.assert_allclose(list(found.p_values.values()), of_arch(each, statistic), atol=0.03)
    assert found.trials == tuple(number for number, p_value in found.p_values.items() if p_value > 0.1)


def test_trials_that_are_clearly_worse_are_left_out_and_the_best_never():
    found = confidence_set(range(4), losses([0.05, 0, 3, 4]))
    assert found.trials == (0, 1)
    assert found.p_values[1] == 1.0
    assert found.p_values[3] < 0.01
    assert (found.distinct, found.level) == (4, 0.1)


def test_trials_of_equal_losses_are_one_and_in_or_out_together():
    each = losses([0, 0.02, 3])
    twice = each.of([0, 1, 0, 2, 2, 1])
    alone, found = confidence_set([0, 1, 3], each), confidence_set(range(6), twice)
    assert found.distinct == 3
    assert [found.p_values[number] for number in range(6)] == [alone.p_values[number] for number in (0, 1, 0, 3, 3, 1)]


@pytest.mark.parametrize("number_of_equals", [1, 3])
@pytest.mark.parametrize("statistic", ["max", "R"])
def test_one_trial_or_equal_ones_are_their_own_set(number_of_equals, statistic):
    each = losses([0]).of([0] * number_of_equals)
    found = confidence_set(range(number_of_equals), each, statistic=statistic)
    assert found.trials == tuple(range(number_of_equals))
    assert set(found.p_values.values()) == {1.0}
    assert found.distinct == 1


@pytest.mark.parametrize("statistic", ["max", "R"])
def test_losses_that_differ_by_constants_are_told_apart(statistic):
    one = losses([0]).folds
    # The second is the mean of all, for which arch finds no statistic.
    apart = FoldLosses(tuple(np.concatenate([fold, fold + 0.1, fold + 0.2]) for fold in one))
    assert confidence_set(range(3), apart, statistic=statistic).trials == (0,)


def test_an_infinite_loss_is_never_in_the_set():
    each = losses([0, 0, 0])
    each.folds[2][1, 5] = np.inf
    found = confidence_set(range(3), each)
    assert 1 not in found.trials
    assert found.p_values[1] == 0.0
    every = FoldLosses(tuple(np.full((2, 20), np.inf) for _ in range(2)))
    assert confidence_set(range(2), every) is None


def test_too_few_origins_have_no_set():
    assert confidence_set(range(2), losses([0, 1], n=4)) is None


def test_a_set_is_the_same_each_time_for_a_seed_and_says_how_it_was_made():
    each = losses([0, 0.1, 0.2])
    found = confidence_set(range(3), each, resamples=300)
    assert confidence_set(range(3), each, resamples=300) == found
    assert confidence_set(range(3), each, resamples=300, seed=1) != found
    assert "300 resamples" in found.method
    assert "Hansen" in found.source
    assert ConfidenceSet.model_validate_json(found.model_dump_json()) == found


def test_a_difficult_fold_makes_no_difference_to_what_is_compared_within_folds():
    each = losses([0, 0.1, 0.2])
    harder = FoldLosses(tuple(fold + 100 * number for number, fold in enumerate(each.folds)))
    before, after = confidence_set(range(3), each), confidence_set(range(3), harder)
    assert list(after.p_values.values()) == pytest.approx(list(before.p_values.values()), abs=1e-3)


def test_the_truly_best_trial_is_in_the_set_nine_times_in_ten_whatever_losses_remember():
    rng, n_studies, found = np.random.default_rng(0), 40, {"independent": 0, "remembering": 0}
    for _ in range(n_studies):
        for kind in found:
            folds = []
            for _fold in range(4):
                own = rng.normal(size=(4, 44))
                own = own[:, 4:] if kind == "independent" else sum(own[:, lag : lag + 40] for lag in range(5)) / 5**0.5
                own[0] -= 0.1
                folds.append(rng.gamma(1, 2, size=40) + own)
            overlap = 1 if kind == "independent" else 5
            found[kind] += 0 in confidence_set(range(4), FoldLosses(tuple(folds), overlap), resamples=100).trials
    assert min(found.values()) / n_studies >= 0.9


def a_set(*numbers):
    return ConfidenceSet(
        level=0.1,
        trials=numbers,
        p_values=dict.fromkeys(numbers, 1.0),
        distinct=len(numbers),
        block_length=1,
        resamples=1,
        method="",
        source="",
    )


def test_the_simplest_is_the_cheapest_of_the_set_then_the_better_then_the_earlier():
    trials = [complete(number, value) for number, value in enumerate([1.3, 1.0, 1.2, 1.1, 1.1])]
    cost = {0: 1, 1: 90, 2: 10, 3: 10, 4: 10}
    found = simplest(a_set(1, 2, 3, 4), trials, trials[1], lambda params: cost[params["units"]], BUILT_IN["rmse"])
    assert (found.trial, found.value, found.operations, found.best_operations) == (3, 1.1, 10, 90)
    assert found.params == {"units": 3}
    found = simplest(a_set(1, 2, 3), trials, trials[1], lambda params: cost[params["units"]], BUILT_IN["direction"])
    assert found.trial == 2


def test_operations_are_counted_only_where_they_may_decide():
    trials, asked = [complete(number, 1.0) for number in range(5)], []

    def operations_of(params):
        asked.append(params["units"])
        return 7

    simplest(a_set(0, 3), trials, trials[0], operations_of, BUILT_IN["rmse"])
    assert sorted(asked) == [0, 3]
