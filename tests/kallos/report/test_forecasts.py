import numpy as np
import pytest

from kallos.features.snapshots import read_snapshot
from kallos.report.forecasts import forecast_job, forecasts_of_best, last_fold_job, read_forecasts
from kallos.tuner import run_tuning
from tests.report_samples import best_forecasts, study_result
from tests.samples import by_learning_rate, small_plan


@pytest.mark.parametrize("horizon", [1, 3])
def test_forecasts_are_those_that_were_scored_each_row_once_and_beside_what_came(tmp_path, horizon):
    plan = small_plan(tmp_path, horizon=horizon, training={"max_epochs": 1}, n_trials=1)
    result = run_tuning(plan, evaluate=by_learning_rate)
    job = last_fold_job(plan, result)
    fold = forecast_job(job)
    assert fold.rmse == evaluated(job).rmse
    assert (fold.fold, fold.block, fold.fingerprint) == (2, horizon, job.fingerprint)
    # Of 40 rows, 13 blocks of three fit.
    n_rows = 40 // horizon * horizon
    actual = read_snapshot(plan.snapshot)["log_return_close"].loc[fold.timestamps[0] :].iloc[:n_rows]
    assert fold.timestamps[0] == result.windows[-1].validation_start
    assert list(fold.actual) == actual.tolist()
    assert [timestamp.isoformat() for timestamp in actual.index] == list(fold.timestamps)
    assert len(fold.forecast) == n_rows
    if horizon == 1:
        assert np.sqrt(np.mean(np.square(np.subtract(fold.forecast, fold.actual)))) == pytest.approx(fold.rmse)


def test_forecasts_of_the_same_fit_are_taken_over_from_the_folder(tmp_path):
    plan = small_plan(tmp_path)
    result = run_tuning(plan, evaluate=by_learning_rate)
    job, folder, calls = last_fold_job(plan, result), str(tmp_path / "results"), []

    def forecast(job):
        calls.append(job.name)
        return best_forecasts(result).last_fold.model_copy(update={"fingerprint": job.fingerprint})

    first = forecasts_of_best(job, result, folder, forecast=forecast)
    assert forecasts_of_best(job, result, folder, forecast=forecast) == first == read_forecasts(result, folder)
    assert calls == [f"trial-{result.best.number}-fold-2"]
    forecasts_of_best(job, result, folder, forecast=forecast, anew=True)
    assert len(calls) == 2
    (tmp_path / "results" / "forecasts.json").write_text("{cut")
    assert read_forecasts(result, folder) is None
    assert forecasts_of_best(job, result, folder, forecast=forecast) == first


def test_forecasts_of_another_study_are_not_shown(tmp_path):
    result = study_result(tmp_path)
    (tmp_path / "forecasts.json").write_text(best_forecasts(result).model_dump_json())
    assert read_forecasts(result, str(tmp_path)) == best_forecasts(result)
    assert read_forecasts(result.model_copy(update={"study_name": "another"}), str(tmp_path)) is None
