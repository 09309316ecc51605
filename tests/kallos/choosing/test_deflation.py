"""How much of a skill is due to choosing, by enumeration and on trials without any."""

from itertools import combinations, product

import numpy as np
import pytest

from kallos.choosing.deflation import deflate
from kallos.planning import DataSummary, FoldWindow
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import metric_of
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, WarmStart, best_of
from tests.samples import small_spec

RMSE = metric_of("rmse")


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
