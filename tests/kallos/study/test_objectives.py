"""Several objectives: the same study on any number of workers and through any end, its front, and what is picked."""

import random
import threading
import time
from functools import partial

import numpy as np
import optuna
import pytest

from kallos.cache import FoldCache
from kallos.choosing.kept import KeptForecasts
from kallos.scoring.job import FoldJob
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.study.best_params import BestParams
from kallos.study.lines import picked_by
from kallos.study.record import open_record
from kallos.tuner import objective, run_tuning
from tests.samples import small_plan

TWO = {"objectives": ["rmse", "direction"], "n_trials": 24, "folds": {"n_folds": 3, "window": 40}, "pruner": "none"}
N_ROWS = 40


def by_two(job: FoldJob) -> FoldResult:
    """Forecast with an error, and a number of right signs, that both rise with the learning rate."""
    params = job.fit.params
    noise = random.Random(f"{sorted(params.items())}{job.number}")
    size = 1 + 400 * params["lr"] + noise.uniform(0, 0.02)
    n_right = min(N_ROWS, round(5 + 3000 * params["lr"] + noise.uniform(0, 2)))
    observed = np.where(np.arange(N_ROWS) % 2, 0.01, -0.01)[:, None]
    signs = np.where(np.arange(N_ROWS) < n_right, 1.0, -1.0)[:, None]
    ones = np.ones(1)
    asset = AssetForecasts(
        quantiles=(size * signs * observed)[:, None, :, None],
        observed=observed,
        reference=np.zeros((N_ROWS, 1)),
        unit=ones,
        change=ones,
        rows_per_year=np.array([365.25]),
    )
    return FoldResult(FoldFit(epochs=1, best_epoch=1, seconds=1.0), job.fit.levels, np.ones((2, 1, 1)), (asset,))


def in_any_order(seed: int):
    delays, lock = random.Random(seed), threading.Lock()

    def evaluate(job: FoldJob) -> FoldResult:
        with lock:
            delay = delays.uniform(0, 0.01)
        time.sleep(delay)
        return by_two(job)

    return evaluate


def test_a_study_of_two_objectives_is_the_same_on_any_number_of_workers(tmp_path):
    plan = small_plan(tmp_path, **TWO)
    alone = run_tuning(plan, evaluate=by_two)
    for workers in (2, 4):
        assert run_tuning(plan, evaluate=in_any_order(workers), workers=workers) == alone
    assert len(alone.front) > 2


@pytest.mark.parametrize("workers", [1, 4])
def test_a_study_of_two_objectives_that_ends_anywhere_and_is_carried_on_is_the_same(tmp_path, workers):
    plan = small_plan(tmp_path, **TWO)
    whole = run_tuning(plan, evaluate=by_two)
    url, ends, kept = f"sqlite:///{tmp_path / 'studies.db'}", random.Random(3), {}
    for _ in range(60):
        left = [ends.randint(2, 12)]

        def die(job, left=left):
            if job.fingerprint not in kept:
                left[0] -= 1
                if left[0] < 0:
                    raise OSError("the power is gone")
                kept[job.fingerprint] = by_two(job)
            return kept[job.fingerprint]

        try:
            with open_record(url, plan) as record:
                result = run_tuning(plan, evaluate=die, workers=workers, record=record)
            break
        except OSError:
            pass
    assert result == whole
    study = optuna.load_study(study_name=plan.study_name, storage=url)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]


def test_the_front_is_that_of_optuna(tmp_path):
    plan = small_plan(tmp_path, **TWO)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with open_record(url, plan) as record:
        result = run_tuning(plan, evaluate=by_two, record=record)
    study = optuna.load_study(study_name=plan.study_name, storage=url)
    assert [trial.number for trial in study.best_trials] == list(result.front)


def test_the_rule_picks_the_best_by_the_second_of_those_near_the_best_by_the_first(tmp_path):
    result = run_tuning(small_plan(tmp_path, **TWO), evaluate=by_two)
    rmse = {trial.number: np.array([score.values["rmse"] for score in trial.scores]) for trial in result.trials}
    best = min(rmse, key=lambda number: rmse[number].mean())
    # Student's t with 2 degrees of freedom has 84.1 % of its mass below 1.32.
    near = [
        number
        for number, each in rmse.items()
        if (each - rmse[best]).mean() <= 1.321 * (each - rmse[best]).std(ddof=1) / np.sqrt(3)
    ]
    direction = {trial.number: trial.values["direction"] for trial in result.trials}
    assert direction[result.best.number] == max(direction[number] for number in near)
    assert result.best.number in near


def test_the_first_objective_alone_or_a_trials_number_picks_too(tmp_path):
    by_rule, by_first, by_number = (
        run_tuning(small_plan(tmp_path, **TWO, **pick), evaluate=by_two)
        for pick in ({}, {"pick": "first"}, {"pick": 7})
    )
    assert by_first.best.values["rmse"] == min(trial.values["rmse"] for trial in by_first.trials)
    assert by_number.best.number == 7
    assert by_rule.study_name == by_first.study_name == by_number.study_name
    assert by_rule.trials == by_first.trials
    with pytest.raises(ValueError, match="'pick' must be the number of a trial below n_trials, 24, not 99"):
        small_plan(tmp_path, **TWO, pick=99)


def test_what_was_chosen_is_said_anew_if_another_trial_is_picked(tmp_path):
    plans = [small_plan(tmp_path, **TWO, pick=number) for number in (7, 7, 8)]
    one, same, other = (KeptForecasts(plan, run_tuning(plan, evaluate=by_two), by_two).jobs_sha256 for plan in plans)
    assert one == same != other


@pytest.mark.parametrize(
    ("pick", "said"), [(1, "picked by its number; there "), (2, "because trial 2 is not complete: of those within one")]
)
def test_a_trial_that_is_not_complete_is_not_said_to_be_picked(tmp_path, pick, said):
    result = run_tuning(small_plan(tmp_path, **TWO, pick=pick), evaluate=by_two)
    trials = [trial for trial in result.trials if trial.number != 2]
    best = next(trial for trial in trials if trial.number == 1)
    assert said in picked_by(result.model_copy(update={"trials": trials, "best": best}))


def test_the_document_has_the_front_with_all_metrics(tmp_path):
    result = run_tuning(small_plan(tmp_path, **TWO, metrics=["ic", "sharpe"]), evaluate=by_two)
    document = BestParams.of(result).model_dump(mode="json")
    assert [each["trial"] for each in document["front"]] == list(result.front)
    assert list(document["values"]) == ["rmse", "direction", "mae", "ic", "sharpe"]
    assert document["metric"] == "rmse"
    assert document["values"]["direction"] == result.best.values["direction"]


def test_the_objective_is_one_for_optunas_own_optimize(tmp_path):
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(partial(objective, plan=small_plan(tmp_path, **TWO), evaluate=by_two), n_trials=3)
    assert [len(trial.values) for trial in study.trials] == [2, 2, 2]


def test_one_objective_is_a_front_of_one(tmp_path):
    result = run_tuning(small_plan(tmp_path, **{**TWO, "objectives": ["rmse"]}), evaluate=by_two)
    assert result.front == (result.best.number,)
    assert result.best.value == min(trial.value for trial in result.trials)


def test_a_metric_of_which_more_is_better_is_maximised(tmp_path):
    result = run_tuning(small_plan(tmp_path, **{**TWO, "objectives": ["direction"]}), evaluate=by_two)
    assert result.best.value == max(trial.value for trial in result.trials)
    assert result.skill == result.best.value - result.baseline_value
    # The sampler goes where more signs are right.
    rates = [trial.params["lr"] for trial in result.trials]
    assert np.mean(rates[-8:]) > np.mean(rates[:8])


def test_the_best_of_what_is_maximised_is_not_pruned(tmp_path):
    over = {**TWO, "objectives": ["direction"], "pruner": "folds"}
    every = run_tuning(small_plan(tmp_path, **{**over, "pruner": "none"}), evaluate=by_two)
    pruned = run_tuning(small_plan(tmp_path, **over), evaluate=by_two)
    ended = [trial.scores for trial in pruned.trials if trial.state == "pruned"]
    assert ended
    for scores in ended:
        same_folds = pruned.best.scores[: len(scores)]
        assert np.mean([own.value for own in scores]) < np.mean([best.value for best in same_folds])
    assert pruned.best_value >= every.best_value - 0.05


def test_another_metric_to_show_is_another_study_of_the_same_trials_and_repeats_no_fit(tmp_path):
    fits = []

    def count(job):
        fits.append(job.fingerprint)
        return by_two(job)

    evaluate = FoldCache(tmp_path / "cache").through(count)
    first = run_tuning(small_plan(tmp_path, **TWO), evaluate=evaluate)
    shown = run_tuning(small_plan(tmp_path, **TWO, metrics=["sharpe"], cost_bps=5), evaluate=evaluate)
    assert len(fits) == len(set(fits)) == 24 * 3
    assert shown.study_name != first.study_name
    assert [trial.params for trial in shown.trials] == [trial.params for trial in first.trials]
    assert "sharpe" in shown.best.values


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objectives": ["rmse", "sharpe"]}, "nothing is chosen by 'sharpe', which is only shown beside others"),
        ({"objectives": ["rmse", "crps"]}, "metric 'crps' needs quantile forecasts: set likelihood to 'quantile'"),
        ({"objectives": ["mae", "direction"], "metric": "rmse"}, "the first of 'objectives' must be the metric"),
        ({"objectives": ["rmse", "rmse"]}, "each objective once"),
        ({"metrics": ["sharp"]}, "did you mean 'sharpe'"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        small_plan(tmp_path, **{**TWO, "objectives": [], **wrong})
