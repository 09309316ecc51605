"""What a study recommends, from a plan's kept forecasts to the choice."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kallos.cache import FoldCache
from kallos.choosing.honest import honest_choice
from kallos.choosing.kept import KeptForecasts
from kallos.errors import UsageError
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.forecast import Forecast
from kallos.study.choice import Member
from kallos.tuner import run_tuning
from tests.samples import make_features, small_plan

RIDGE = {"model_name": "ridge", "n_trials": 5, "pruner": "none", "folds": {"n_folds": 4, "window": 40}}


def kept_forecasts(folder, frame=None, **over) -> KeptForecasts:
    plan = small_plan(folder, frame, **{**RIDGE, **over})
    evaluate = FoldCache(folder / "cache").through(evaluate_fold)
    return KeptForecasts(plan, run_tuning(plan, evaluate=evaluate), evaluate)


def operations_of(params):
    return params["input_chunk_length"]


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_the_mean_of_the_losses_is_the_value_of_the_baseline_and_of_each_trial(tmp_path, metric):
    kept = kept_forecasts(tmp_path, metric=metric)
    values = [kept.result.baseline_value, *(trial.value for trial in kept.result.trials)]
    np.testing.assert_allclose(kept.losses.values, values)


def test_the_losses_of_several_assets_have_the_values_of_the_study(tmp_path):
    both = pd.concat({"ABC": make_features(), "XYZ": make_features(380, seed=1, start="2020-01-21")})
    kept = kept_forecasts(tmp_path, both, data={"asset_id": ["ABC", "XYZ"]}, metric="mae")
    np.testing.assert_allclose(kept.losses.values[1:], [trial.value for trial in kept.result.trials])
    assert honest_choice(kept, operations_of).ensemble is not None


def test_an_ensembles_scores_are_those_of_the_mean_of_the_kept_forecasts(tmp_path):
    kept = kept_forecasts(tmp_path)
    found = honest_choice(kept, operations_of).ensemble
    rmse = []
    for fold in range(4):
        results = [kept.evaluate(kept.plan.trial_jobs(each.trial, each.params)[fold]) for each in found.members]
        mean = sum(each.weight * next(own.forecasts()).mean for each, own in zip(found.members, results, strict=True))
        rmse.append(np.sqrt(np.mean((mean - results[0].assets[0].actual) ** 2)))
    np.testing.assert_allclose(found.by_fold, rmse)
    assert found.value == pytest.approx(np.mean(rmse))
    assert found.value <= kept.result.best_value


def test_the_simplest_trial_is_the_cheapest_of_the_set(tmp_path):
    kept = kept_forecasts(tmp_path)
    found = honest_choice(kept, operations_of)
    near = [trial for trial in kept.result.trials if trial.number in found.confidence.trials]
    assert kept.result.best.number in found.confidence.trials
    assert found.simplest.operations == min(trial.params["input_chunk_length"] for trial in near)


def test_an_architecture_whose_operations_nobody_counts_has_no_simplest_trial(tmp_path):
    def unknown(params):
        raise UsageError("no operations")

    found = honest_choice(kept_forecasts(tmp_path), unknown)
    assert found.simplest is None
    assert found.confidence is not None


def test_a_metric_that_is_no_mean_of_losses_has_an_ensemble_and_no_set(tmp_path):
    found = honest_choice(kept_forecasts(tmp_path, metric="ic"), operations_of)
    assert (found.confidence, found.simplest, found.superiority) == (None, None, None)
    assert found.ensemble is not None


def test_forecasts_that_are_gone_are_made_again_and_change_nothing(tmp_path):
    kept = kept_forecasts(tmp_path)
    first = honest_choice(kept, operations_of)
    FoldCache(tmp_path / "cache").prune(max_bytes=0)
    assert honest_choice(replace(kept), operations_of) == first


def test_with_one_trial_there_is_nothing_to_choose(tmp_path):
    kept = kept_forecasts(tmp_path, n_trials=1)
    found = honest_choice(kept, operations_of)
    best = Member(trial=0, params=kept.result.best.params, weight=1)
    assert found.ensemble is None
    assert found.confidence.trials == (0,)
    assert found.choice("ensemble", best).members == (best,)


def test_the_mean_of_weights_is_that_of_numpy_for_every_part():
    rng = np.random.default_rng(0)
    each = [Forecast(*rng.normal(size=(3, 5, 2, 1)), rng.normal(size=(5, 2, 1, 3)), (0.1, 0.5, 0.9)) for _ in range(2)]
    mean = Forecast.mean_of(each, [0.75, 0.25])
    for part, one, other in zip(mean.parts, each[0].parts, each[1].parts, strict=True):
        np.testing.assert_allclose(part, 0.75 * one + 0.25 * other)
