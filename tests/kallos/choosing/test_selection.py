import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import nct

from kallos.choosing.deflation import deflate, one_error, one_standard_error
from kallos.planning import DataSummary, FoldWindow
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import metric_of
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, WarmStart, best_of
from tests.samples import small_spec

RMSE = metric_of("rmse")
# The share of a normal law below one standard deviation.
NORMAL = (1 + math.erf(math.sqrt(0.5))) / 2


def study(scores, baseline=None, *, pruned=()):
    """Return a study with a trial for each row of RMSEs, a column a fold; trial i has i + 1 units."""
    scores = np.asarray(scores, float)
    baseline = np.ones(scores.shape[1]) if baseline is None else np.asarray(baseline, float)
    trials = tuple(trial(number, row, is_pruned=number in pruned) for number, row in enumerate(scores))
    best = best_of(trials, RMSE)
    return TuningResult(
        best=best,
        front=(best.number,),
        trials=trials,
        baseline="zero",
        baseline_value=float(baseline.mean()),
        baseline_values={"zero": float(baseline.mean())},
        windows=tuple(
            FoldWindow(
                train_start=0,
                train_end=1,
                validation_start=2,
                validation_end=3,
                baseline_values={"zero": float(value)},
                baseline_metrics={"zero": {"rmse": float(value)}},
                baseline_by_asset={"zero": (float(value),)},
                baseline_by_target={"zero": (float(value),)},
            )
            for value in baseline
        ),
        current_window=None,
        current_score=None,
        current_reason=None,
        study_name="gru-ABC-0",
        warm_start=WarmStart(),
        data=DataSummary(sha256="0", rows=4, rows_by_asset={"ABC": 4}, start=0, end=3),
        spec=small_spec(),
        versions={},
    )


def trial(number, row, *, is_pruned):
    scores = [
        FoldScore(
            fingerprint="f",
            value=value,
            values={"rmse": value, "mae": value},
            by_asset=(value,),
            by_target=(value,),
            n_forecasts=1,
            epochs=1,
            best_epoch=1,
            seconds=1.0,
        )
        for value in (row[:1] if is_pruned else row)
    ]
    return TrialRecord(
        number=number,
        state="pruned" if is_pruned else "complete",
        params={"units": number + 1},
        value=None if is_pruned else float(np.mean(row)),
        values={} if is_pruned else {"rmse": float(np.mean(row))},
        scores=tuple(scores),
    )


def test_the_fewest_operations_within_one_standard_error_of_the_paired_differences_are_chosen():
    # The third is best. The first is worse by .1 on all folds alike, which is no matter of chance; the second by 0, .1
    # and .2, of which the standard error is .1 / √3, and 1.32 of it less than .1; the fourth by -.1, 0 and .2.
    result = study([[1.1, 2.1, 3.1], [1.0, 2.1, 3.2], [1.0, 2.0, 3.0], [0.9, 2.0, 3.2], [9, 9, 9]])
    asked = []

    def operations_of(params):
        asked.append(params["units"])
        return 10 if params["units"] == 4 else 100

    choice = one_standard_error(result, operations_of)
    assert sorted(asked) == [3, 4]
    assert (choice.trial, choice.operations, choice.best_operations, choice.within) == (3, 10, 100, 2)
    assert choice.params == {"units": 4}
    assert choice.value == pytest.approx(6.1 / 3)
    assert choice.mean_difference == pytest.approx(0.1 / 3)
    # Deviations of -.4/3, -.1/3 and .5/3 from the mean; their squares sum to .42 / 9.
    assert choice.standard_error == pytest.approx(np.sqrt(0.42 / 9 / 2 / 3))


def test_of_trials_with_as_many_operations_the_better_one_is_chosen_and_then_the_earlier():
    result = study([[0.9, 2.0, 3.2], [1.0, 2.0, 3.0], [0.8, 2.0, 3.21]])
    assert one_standard_error(result, lambda params: 7).trial == 1
    assert one_standard_error(result, lambda params: 7 if params["units"] == 2 else 6).trial == 2
    equal = study([[0.9, 2.0, 3.2], [0.9, 2.0, 3.2], [1.0, 2.0, 3.0]])
    assert one_standard_error(equal, lambda params: 7 if params["units"] == 3 else 6).trial == 0


def test_how_long_fits_took_chooses_nothing():
    result = study([[0.9, 2.0, 3.2], [1.0, 2.0, 3.0], [0.8, 2.0, 3.21], [1.1, 1.9, 3.1]])
    rng = np.random.default_rng(1)
    chosen = set()
    for _ in range(20):
        scrambled = tuple(
            trial.model_copy(
                update={
                    "scores": tuple(
                        score.model_copy(update={"seconds": float(rng.uniform(0.1, 1e4))}) for score in trial.scores
                    )
                }
            )
            for trial in result.trials
        )
        again = result.model_copy(update={"trials": scrambled, "best": best_of(scrambled, RMSE)})
        choice = one_standard_error(again, lambda params: {1: 5, 2: 9, 3: 5, 4: 8}[params["units"]])
        chosen.add((choice.trial, choice.operations, choice.within))
    assert len(chosen) == 1


@pytest.mark.parametrize(
    ("n_folds", "expected"),
    # Of Student's t with 1 and 2 degrees of freedom the quantiles are in closed form; with many, it is the normal one.
    [(2, math.tan(math.pi * (NORMAL - 0.5))), (3, (2 * NORMAL - 1) / math.sqrt(2 * NORMAL * (1 - NORMAL))), (10**6, 1)],
)
def test_one_standard_error_of_few_folds_is_the_quantile_of_t_that_it_is_of_many(n_folds, expected):
    assert one_error(n_folds) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_a_trial_that_is_as_good_as_the_best_is_left_out_as_often_with_few_folds_as_with_many(n_folds):
    rng, left_out, n_studies = np.random.default_rng(n_folds), 0, 4000
    for difference in rng.normal(size=(n_studies, n_folds)):
        # The one whose differences are looked at is the worse one.
        worse = 10 + (difference if difference.mean() > 0 else -difference)
        left_out += one_standard_error(study([worse, np.full(n_folds, 10.0)]), lambda params: 0).within == 1
    # Two-sided: the best of the two is known only from the folds.
    assert left_out / n_studies == pytest.approx(2 * (1 - NORMAL), abs=0.03)


def test_two_folds_tell_little_and_the_rule_is_as_wide_as_that():
    # One standard deviation worse than the best: T is Student's with one degree of freedom around √2, and is within
    # 1.84 standard errors in 48 % of the cases.
    rng, near, n_studies = np.random.default_rng(0), 0, 4000
    for difference in rng.normal(1, 1, size=(n_studies, 2)):
        if difference.mean() <= 0:
            near += 1
            continue
        near += one_standard_error(study([10 + difference, [10.0, 10.0]]), lambda params: 0).within == 2
    assert near / n_studies == pytest.approx(nct.cdf(math.tan(math.pi * (NORMAL - 0.5)), 1, math.sqrt(2)), abs=0.03)


def test_on_a_single_fold_only_the_best_trial_is_near_enough():
    choice = one_standard_error(study([[1.0], [1.0], [0.9]]), lambda params: params["units"])
    assert (choice.trial, choice.within, choice.standard_error) == (2, 1, 0.0)


def test_a_pruned_trial_is_never_chosen():
    result = study([[0.1, 0.1, 0.1], [1.0, 2.0, 3.0]], pruned=[0])
    assert one_standard_error(result, lambda params: params["units"]).trial == 1


def test_a_deflated_skill_is_that_of_every_bootstrap_of_the_folds():
    rng = np.random.default_rng(5)
    scores, baseline = rng.uniform(0.5, 1.5, (5, 4)), rng.uniform(1, 2, 4)
    chosen_rmse, baseline_rmse = [], []
    # All 4^4 equally likely draws of the folds, one by one.
    for drawn in product(range(4), repeat=4):
        left_out = [fold for fold in range(4) if fold not in drawn]
        if left_out:
            means = [sum(row[fold] for fold in drawn) for row in scores]
            chosen = means.index(min(means))
            chosen_rmse.append(sum(scores[chosen, fold] for fold in left_out) / len(left_out))
            baseline_rmse.append(sum(baseline[fold] for fold in left_out) / len(left_out))
    overfitted = 0
    for half in combinations(range(4), 2):
        others = [fold for fold in range(4) if fold not in half]
        chosen = min(range(5), key=lambda number: scores[number, half].sum())
        rank = sum(scores[number, others].sum() > scores[chosen, others].sum() for number in range(5)) + 1
        overfitted += rank / 6 <= 0.5
    deflation = deflate(study(scores, baseline), resamples=40_000)
    assert deflation.value == pytest.approx(np.mean(chosen_rmse), abs=0.005)
    assert deflation.baseline_value == pytest.approx(np.mean(baseline_rmse), abs=0.005)
    assert deflation.skill == pytest.approx(1 - np.mean(chosen_rmse) / np.mean(baseline_rmse), abs=0.005)
    assert deflation.overfitting == overfitted / 6
    assert deflation.apparent_skill == pytest.approx(1 - scores.mean(axis=1).min() / baseline.mean())
    assert deflation.trials == 5


def test_among_trials_that_differ_by_chance_alone_no_skill_is_left():
    rng = np.random.default_rng(0)
    deflations = [deflate(study(1 + 0.1 * rng.normal(size=(30, 5))), resamples=200) for _ in range(40)]
    assert np.mean([each.apparent_skill for each in deflations]) > 0.07
    # The mean of 40 studies has a standard error of about .005.
    assert np.mean([each.skill for each in deflations]) == pytest.approx(0, abs=0.015)
    assert np.mean([each.overfitting for each in deflations]) == pytest.approx(0.5, abs=0.1)


def test_of_a_trial_that_is_truly_better_the_skill_stays():
    rng = np.random.default_rng(0)
    scores = 1 + 0.02 * rng.normal(size=(30, 6))
    scores[7] -= 0.3
    deflation = deflate(study(scores))
    assert deflation.skill == pytest.approx(0.3, abs=0.02)
    assert deflation.overfitting == 0.0


def test_a_deflation_is_the_same_each_time_and_says_how_it_was_made():
    result = study(np.random.default_rng(0).uniform(1, 2, (4, 16)))
    deflation = deflate(result, resamples=300)
    assert deflate(result, resamples=300) == deflation
    assert deflate(result, resamples=300, seed=1) != deflation
    # 16 folds have 12,870 halves.
    assert "300 splits" in deflation.method
    assert "Tsamardinos" in deflation.source


@pytest.mark.parametrize(
    ("scores", "pruned"),
    [([[1, 2], [2, 1]], []), ([[1, 2, 3]], []), ([[1, 2, 3], [1, 2, 2]], [1])],
    ids=["two folds", "one trial", "one that is complete"],
)
def test_where_there_is_nothing_to_choose_or_to_look_at_there_is_no_deflation(scores, pruned):
    assert deflate(study(scores, pruned=pruned)) is None
