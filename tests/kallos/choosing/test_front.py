"""The front of several objectives, by pairs, and the trial that the rule picks from near the best."""

import math

import numpy as np
import pytest
from scipy.stats import nct

from kallos.choosing.front import front, one_error, pick
from kallos.scoring.score import FoldScore
from kallos.study.trials import TrialRecord
from tests.samples import small_spec

# The share of a normal law below one standard deviation.
NORMAL = (1 + math.erf(math.sqrt(0.5))) / 2


def trial(number, folds, state="complete"):
    """Return a trial with these scores by metric on each fold."""
    n_folds = len(next(iter(folds.values())))
    each = [{name: float(values[fold]) for name, values in folds.items()} for fold in range(n_folds)]
    first = next(iter(folds))
    scores = tuple(
        FoldScore(
            fingerprint="f",
            value=values[first],
            values=values,
            by_asset=(values[first],),
            by_target=(values[first],),
            n_forecasts=1,
            epochs=1,
            best_epoch=1,
            seconds=1.0,
        )
        for values in each
    )
    means = {name: float(np.mean(values)) for name, values in folds.items()}
    if state != "complete":
        return TrialRecord(number=number, state=state, params={}, value=None, values={}, scores=scores[:1])
    return TrialRecord(number=number, state=state, params={}, value=means[first], values=means, scores=scores)


def by_two(rows, second):
    """Return trials of these RMSEs on each fold, and of these shares of right signs on all folds alike."""
    pairs = zip(rows, second, strict=True)
    return [trial(number, {"rmse": row, "direction": [sign] * len(row)}) for number, (row, sign) in enumerate(pairs)]


def picked(trials, **over):
    return pick(trials, small_spec(objectives=["rmse", "direction"], n_trials=9, **over)).number


def test_the_front_has_what_no_other_trial_beats_by_one_objective_without_losing_by_another():
    rng = np.random.default_rng(2)
    # Few values, so that there are ties.
    rmse = rng.integers(3, 9, 40)
    direction = (rmse + rng.integers(-2, 2, 40)) / 10
    trials = by_two([[float(each)] for each in rmse], direction)

    def is_beaten(one):
        return any(
            (rmse[other] <= rmse[one] and direction[other] >= direction[one])
            and (rmse[other] < rmse[one] or direction[other] > direction[one] or other < one)
            for other in range(40)
            if other != one
        )

    expected = [number for number in range(40) if not is_beaten(number)]
    assert [each.number for each in front(trials, ["rmse", "direction"])] == expected
    assert 1 < len(expected) < 10


def test_a_trial_without_all_folds_is_neither_in_the_front_nor_picked():
    trials = by_two([[1.0, 2.0], [3.0, 3.0]], [0.5, 0.4])
    pruned = trial(2, {"rmse": [0.1, 0.1], "direction": [0.9, 0.9]}, state="pruned")
    assert [each.number for each in front([*trials, pruned], ["rmse", "direction"])] == [0]
    assert picked([*trials, pruned]) == 0
    assert pick([pruned], small_spec(objectives=["rmse", "direction"])) is None
    # The rule picks where the trial that was asked for is not complete.
    assert picked([*trials, pruned], pick=2) == 0


def test_the_best_by_the_second_within_one_standard_error_of_the_paired_differences_is_picked():
    # The third is best. The first is worse by .1 on all folds alike, which is no matter of chance; the second by 0, .1
    # and .2, of which the standard error is .1 / √3, and 1.32 of it less than .1; the fourth by -.1, 0 and .2.
    rows = [[1.1, 2.1, 3.1], [1.0, 2.1, 3.2], [1.0, 2.0, 3.0], [0.9, 2.0, 3.2], [9, 9, 9]]
    assert picked(by_two(rows, [0.9, 0.9, 0.5, 0.6, 0.9])) == 3
    assert picked(by_two(rows, [0.9, 0.9, 0.5, 0.4, 0.9])) == 2
    assert picked(by_two(rows, [0.9, 0.9, 0.5, 0.6, 0.9]), pick="first") == 2
    assert picked(by_two(rows, [0.9, 0.9, 0.5, 0.6, 0.9]), pick=4) == 4


def test_of_trials_that_are_as_good_by_the_second_the_better_one_by_the_first_is_picked_and_then_the_earlier():
    assert picked(by_two([[0.9, 2.0, 3.2], [1.0, 2.0, 3.0], [0.8, 2.0, 3.21]], [0.5, 0.5, 0.5])) == 1
    assert picked(by_two([[0.9, 2.0, 3.2], [0.9, 2.0, 3.2], [1.0, 2.0, 3.0]], [0.6, 0.6, 0.5])) == 0


def test_a_third_objective_tells_apart_what_the_second_does_not():
    rows, spec = [[0.9, 2.0, 3.2], [1.0, 2.0, 3.0]], small_spec(objectives=["rmse", "direction", "mae"])
    trials = [
        trial(number, {"rmse": row, "direction": [0.5] * 3, "mae": [mae] * 3})
        for number, (row, mae) in enumerate(zip(rows, [1.0, 1.1], strict=True))
    ]
    assert pick(trials, spec).number == 0


def test_near_the_best_goes_by_the_direction_of_the_first_objective():
    spec = small_spec(objectives=["direction", "rmse"])
    rows = [[0.5, 0.6, 0.7], [0.5, 0.61, 0.68], [0.3, 0.4, 0.5]]
    trials = [
        trial(number, {"direction": row, "rmse": [rmse] * 3})
        for number, (row, rmse) in enumerate(zip(rows, [2.0, 1.0, 0.5], strict=True))
    ]
    assert pick(trials, spec).number == 1


@pytest.mark.parametrize(
    ("n_folds", "expected"),
    # Of Student's t with 1 and 2 degrees of freedom the quantiles are in closed form; with many, it is the normal one.
    [(2, math.tan(math.pi * (NORMAL - 0.5))), (3, (2 * NORMAL - 1) / math.sqrt(2 * NORMAL * (1 - NORMAL))), (10**6, 1)],
)
def test_one_standard_error_of_few_folds_is_the_quantile_of_t_that_it_is_of_many(n_folds, expected):
    assert one_error(n_folds) == pytest.approx(expected, abs=1e-5)


SPEC = small_spec(objectives=["rmse", "direction"])


def is_near(worse, best):
    """Return whether the first of two trials, the better one by the second objective, is near the other."""
    return pick(by_two([worse, best], [0.6, 0.5]), SPEC).number == 0


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_a_trial_that_is_as_good_as_the_best_is_left_out_as_often_with_few_folds_as_with_many(n_folds):
    rng, left_out, n_studies = np.random.default_rng(n_folds), 0, 4000
    for difference in rng.normal(size=(n_studies, n_folds)):
        # The one whose differences are looked at is the worse one.
        worse = 10 + (difference if difference.mean() > 0 else -difference)
        left_out += not is_near(worse, np.full(n_folds, 10.0))
    # Two-sided: the best of the two is known only from the folds.
    assert left_out / n_studies == pytest.approx(2 * (1 - NORMAL), abs=0.03)


def test_two_folds_tell_little_and_the_rule_is_as_wide_as_that():
    # One standard deviation worse than the best: T is Student's with one degree of freedom around √2, and is within
    # 1.84 standard errors in 48 % of the cases.
    rng, near, n_studies = np.random.default_rng(0), 0, 4000
    for difference in rng.normal(1, 1, size=(n_studies, 2)):
        near += difference.mean() <= 0 or is_near(10 + difference, [10.0, 10.0])
    assert near / n_studies == pytest.approx(nct.cdf(math.tan(math.pi * (NORMAL - 0.5)), 1, math.sqrt(2)), abs=0.03)


def test_on_a_single_fold_only_the_best_trial_is_near_enough():
    assert picked(by_two([[1.0], [1.0], [0.9]], [0.9, 0.8, 0.1])) == 2
