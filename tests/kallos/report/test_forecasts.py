import numpy as np
import pytest

from kallos.features.snapshots import read_snapshot
from kallos.report.forecasts import forecasts_of_best, read_forecasts
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.study.budget import BudgetSpentError
from kallos.tuner import run_tuning
from tests.report_samples import best_forecasts, study_result
from tests.samples import by_learning_rate, evaluated, make_features, small_plan


@pytest.mark.parametrize("horizon", [1, 3])
def test_forecasts_are_those_that_were_scored_each_row_once_and_beside_what_came(tmp_path, horizon):
    plan = small_plan(tmp_path, horizon=horizon, training={"max_epochs": 1}, n_trials=1)
    result = run_tuning(plan, evaluate=by_learning_rate)
    job = plan.trial_jobs(0, result.best.params)[-1]
    fold = forecasts_of_best(plan, result, str(tmp_path / "own"), evaluate=evaluate_fold).last_fold
    assert fold.rmse == evaluated(job).rmse
    assert (fold.fold, fold.block, fold.fingerprint) == (2, horizon, job.fingerprint)
    # Of 40 rows, 13 blocks of three fit.
    n_rows = 40 // horizon * horizon
    actual = read_snapshot(plan.snapshot)["log_return_close"].loc[fold.timestamps[0] :].iloc[:n_rows]
    assert fold.timestamps[0] == result.windows[-1].validation_start
    assert list(fold.actual) == actual.tolist()
    assert [timestamp.isoformat() for timestamp in actual.index] == list(fold.timestamps)
    (forecast,) = forecasts_of(job, fit_fold(job))
    assert list(fold.forecast) == [forecast.point[row - row % horizon, row % horizon, 0] for row in range(n_rows)]
    if horizon == 1:
        assert np.sqrt(np.mean(np.square(np.subtract(fold.forecast, fold.actual)))) == pytest.approx(fold.rmse)


def test_forecasts_of_several_targets_are_those_of_the_first_in_its_own_units(tmp_path):
    over = {"model_name": "ridge", "n_trials": 1, "features": {"target": ["macd", "log_return_close"]}}
    plan = small_plan(tmp_path, **over)
    result = run_tuning(plan)
    fold = forecasts_of_best(plan, result, str(tmp_path / "own"), evaluate=evaluate_fold).last_fold
    job = plan.trial_jobs(0, result.best.params)[-1]
    assert list(fold.actual) == make_features()["macd"].iloc[360:].tolist()
    assert list(fold.forecast) == forecasts_of(job, fit_fold(job))[0].point[:, 0, 0].tolist()
    assert fold.rmse == result.best.scores[-1].rmse


def test_forecasts_of_the_same_fit_are_taken_over_from_the_folder(tmp_path):
    plan = small_plan(tmp_path)
    result = run_tuning(plan, evaluate=by_learning_rate)
    folder, calls = str(tmp_path / "results"), []

    def evaluate(job):
        calls.append(job.name)
        return by_learning_rate(job)

    first = forecasts_of_best(plan, result, folder, evaluate=evaluate)
    assert forecasts_of_best(plan, result, folder, evaluate=evaluate) == first == read_forecasts(result, folder)
    assert calls == [f"trial-{result.best.number}-fold-2"]
    (tmp_path / "results" / "forecasts.json").write_text("{cut")
    assert read_forecasts(result, folder) is None
    assert forecasts_of_best(plan, result, folder, evaluate=evaluate) == first
    # What another fit has left in the folder is not shown for this one.
    seed = small_plan(tmp_path, seed=7)
    other = forecasts_of_best(seed, run_tuning(seed, evaluate=by_learning_rate), folder, evaluate=evaluate)
    assert other.last_fold.fingerprint != first.last_fold.fingerprint
    assert len(calls) == 3


def test_what_keeps_forecasts_from_being_made_is_said_and_nothing_is_written(tmp_path):
    plan = small_plan(tmp_path)
    result = run_tuning(plan, evaluate=by_learning_rate)

    def refuse(job):
        raise BudgetSpentError("`max_fold_fits` 6 is spent")

    with pytest.raises(BudgetSpentError, match="6 is spent"):
        forecasts_of_best(plan, result, str(tmp_path / "results"), evaluate=refuse)
    assert not (tmp_path / "results").exists()


def test_forecasts_of_another_study_are_not_shown(tmp_path):
    result = study_result(tmp_path)
    (tmp_path / "forecasts.json").write_text(best_forecasts(result).model_dump_json())
    assert read_forecasts(result, str(tmp_path)) == best_forecasts(result)
    assert read_forecasts(result.model_copy(update={"study_name": "another"}), str(tmp_path)) is None
