"""A finished study by another metric, from the forecasts that it left in the fold cache."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from kallos.cache import FoldCache
from kallos.errors import UsageError
from kallos.scoring.job import FoldJob
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.study.again import kept_rows
from kallos.study.catalogue import read_study
from kallos.study.record import open_record
from kallos.study.rescoring import rescore
from kallos.tuner import run_tuning
from tests.samples import make_features, small_plan

N_ROWS = 40


def noisy(job: FoldJob) -> FoldResult:
    """Forecast a window's returns with errors of heavy tails, so that metrics do not agree on the order of trials."""
    seed = random.Random(f"{sorted(job.fit.params.items())}{job.number}").randrange(2**32)
    rng = np.random.default_rng(seed)
    fold = job.folds[0]
    observed = make_features()[["log_return_close"]].to_numpy()[fold.validation_start : fold.validation_stop]
    ones = np.ones(1)
    asset = AssetForecasts(
        quantiles=(observed + 0.01 * rng.standard_t(1.5, size=observed.shape))[:, None, :, None],
        observed=observed,
        reference=np.zeros((len(observed), 1)),
        unit=ones,
        change=ones,
        rows_per_year=np.array([365.25]),
    )
    return FoldResult(FoldFit(epochs=1, best_epoch=1, seconds=1.0), job.fit.levels, np.ones((2, 1, 1)), (asset,))


def recorded(folder, **over) -> SimpleNamespace:
    """Record a study behind a cache, and return all that it left."""
    plan = small_plan(folder, **{"n_trials": 6, "pruner": "none", **over})
    url, cache = f"sqlite:///{folder / 'studies.db'}", FoldCache(folder / "cache")
    with open_record(url, plan) as record:
        result = run_tuning(plan, evaluate=cache.through(noisy), record=record)
    study = read_study(url, plan.study_name, n_best=None)
    rows = kept_rows(study.data, str(folder / "snapshots"))
    return SimpleNamespace(plan=plan, result=result, study=study, cache=cache, rows=rows)


@pytest.fixture
def left(tmp_path) -> SimpleNamespace:
    return recorded(tmp_path)


def mean_absolute_errors(left) -> dict[int, list[float]]:
    """Return the mean absolute error of each trial on each fold, from the kept forecasts."""
    errors = {}
    for trial in left.result.trials:
        kept = [left.cache.read(job.fingerprint) for job in left.plan.trial_jobs(trial.number, trial.params)]
        assets = [result.assets[0] for result in kept]
        differences = [each.quantiles[:, 0, 0, 0] - each.observed[:, 0] for each in assets]
        errors[trial.number] = [float(np.abs(each).mean()) for each in differences]
    return errors


def test_trials_by_another_metric_have_the_scores_of_their_kept_forecasts_and_the_best_is_first(tmp_path):
    left = recorded(tmp_path, n_trials=15)
    rescored = rescore(left.study, "mae", left.cache, left.rows)
    expected = mean_absolute_errors(left)
    assert {each.trial: each.folds for each in rescored.trials} == {
        number: pytest.approx(errors) for number, errors in expected.items()
    }
    assert [each.value for each in rescored.trials] == pytest.approx(sorted(np.mean(list(expected.values()), axis=1)))
    by_rmse = sorted(left.result.trials, key=lambda trial: trial.value)
    assert {each.trial: each.rank for each in rescored.trials} == {
        trial.number: rank for rank, trial in enumerate(by_rmse, start=1)
    }
    # Else nothing is shown of another order.
    assert [each.rank for each in rescored.trials] != list(range(1, 16))
    assert {each.trial: each.own_value for each in rescored.trials} == {t.number: t.value for t in by_rmse}
    assert (rescored.study, rescored.metric, rescored.own_metric) == (left.plan.study_name, "mae", "rmse")
    assert rescored.missing == ()


def test_the_skill_is_over_the_best_baseline_by_the_other_metric(left):
    rescored = rescore(left.study, "mae", left.cache, left.rows)
    target = make_features()["log_return_close"].to_numpy()
    zero = np.mean([np.abs(target[start : start + N_ROWS]).mean() for start in (320, 360)])
    mean = np.mean([np.abs(target[start : start + N_ROWS] - target[:start].mean()).mean() for start in (320, 360)])
    assert rescored.baseline_value <= min(zero, mean) * (1 + 1e-12)
    assert rescored.baseline_value == pytest.approx({"zero": zero, "mean": mean}[rescored.baseline])
    for each in rescored.trials:
        assert each.skill == pytest.approx(1 - each.value / rescored.baseline_value)


def test_a_study_that_was_tuned_by_the_metric_has_the_same_values(left, tmp_path):
    (tmp_path / "other").mkdir()
    by_mae = recorded(tmp_path / "other", metric="mae", n_trials=1).result
    (own,) = by_mae.trials
    rescored = rescore(left.study, "mae", left.cache, left.rows)
    (same,) = [each for each in rescored.trials if each.params == own.params]
    assert same.value == own.value
    assert same.folds == tuple(score.value for score in own.scores)
    assert (rescored.baseline, rescored.baseline_value) == (by_mae.baseline, by_mae.baseline_value)
    assert same.skill == by_mae.skill


def test_more_is_better_by_a_metric_that_is_maximised(left):
    rescored = rescore(left.study, "direction", left.cache, left.rows)
    values = [each.value for each in rescored.trials]
    assert values == sorted(values, reverse=True)
    assert [each.skill for each in rescored.trials] == pytest.approx(np.subtract(values, rescored.baseline_value))


def test_trials_whose_forecasts_are_gone_are_named_and_left_out(left):
    for number, fold in ((1, 0), (4, 1)):
        trial = left.result.trials[number]
        left.cache.remove(left.plan.trial_jobs(number, trial.params)[fold].fingerprint)
    rescored = rescore(left.study, "mae", left.cache, left.rows)
    assert rescored.missing == (1, 4)
    assert sorted(each.trial for each in rescored.trials) == [0, 2, 3, 5]


def test_without_the_studys_rows_there_is_no_baseline_and_no_skill(left):
    rescored = rescore(left.study, "mae", left.cache, None)
    assert (rescored.baseline, rescored.baseline_value) == (None, None)
    assert {each.skill for each in rescored.trials} == {None}
    with_rows = rescore(left.study, "mae", left.cache, left.rows)
    assert [each.value for each in rescored.trials] == [each.value for each in with_rows.trials]


def test_pruned_trials_are_not_scored(tmp_path):
    left = recorded(tmp_path, pruner="median", n_trials=12)
    complete = {trial.number for trial in left.result.trials if trial.state == "complete"}
    assert len(complete) < 12
    assert {each.trial for each in rescore(left.study, "mae", left.cache, left.rows).trials} == complete


@pytest.mark.parametrize("metric", ["crps", "pinball"])
def test_a_metric_of_quantiles_is_refused_for_a_study_of_points(left, metric):
    with pytest.raises(UsageError, match=f"metric '{metric}' needs quantile forecasts, and gru-ABC-.* points alone"):
        rescore(left.study, metric, left.cache, left.rows)


def test_a_metric_that_is_not_there_is_refused(left):
    with pytest.raises(UsageError, match="did you mean 'mae'"):
        rescore(left.study, "mea", left.cache, left.rows)
