from dataclasses import replace
from functools import partial

import optuna
import pytest

from kallos.errors import DataError, FitError, StudyError
from kallos.features.snapshots import read_snapshot
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.study.events import FoldScored, StudyFinished, StudyStarted, TrialFinished, TrialStarted
from kallos.study.sampling import trial_seed
from kallos.tuner import objective, run_tuning
from tests.samples import by_learning_rate, evaluated, make_features, score_of, small_plan


def test_the_value_of_a_trial_is_the_mean_over_its_folds(tmp_path):
    result = run_tuning(small_plan(tmp_path, folds={"n_folds": 3, "window": 40}), evaluate=by_learning_rate)
    for trial in result.trials:
        assert trial.value == pytest.approx(trial.params["lr"] + 0.1)
    rates = [trial.params["lr"] for trial in result.trials]
    assert result.best.number == rates.index(min(rates))
    assert result.best_value == pytest.approx(min(rates) + 0.1)
    assert result.best_params["lr"] == min(rates)
    assert result.best.seconds == 6.0


def test_a_study_is_a_function_of_its_seed(tmp_path):
    plan, other = small_plan(tmp_path, n_trials=14), small_plan(tmp_path, n_trials=14, seed=1)
    first, again, elsewhere = (run_tuning(each, evaluate=by_learning_rate) for each in (plan, plan, other))
    assert first == again
    assert [trial.params for trial in first.trials] != [trial.params for trial in elsewhere.trials]


def test_a_longer_study_begins_with_the_shorter_one(tmp_path):
    short, long = (run_tuning(small_plan(tmp_path, n_trials=n), evaluate=by_learning_rate).trials for n in (12, 16))
    assert long[:12] == short


def test_no_two_trials_share_their_samplers_seed():
    assert len({trial_seed(seed, number) for seed in range(20) for number in range(50)}) == 1000


def test_real_fits_are_the_same_to_the_bit_from_run_to_run(tmp_path):
    plan = small_plan(tmp_path, n_trials=2)
    first, again = (run_tuning(plan) for _ in range(2))
    assert [trial.value for trial in first.trials] == [trial.value for trial in again.trials]


def test_the_objective_works_in_optunas_own_loop(tmp_path):
    study = optuna.create_study(direction="minimize")
    study.optimize(partial(objective, plan=small_plan(tmp_path)), n_trials=3)
    assert len(study.trials) == 3
    assert study.best_trial.value > 0
    assert set(study.trials[0].intermediate_values) == {1, 2}


def test_a_pruner_may_end_a_trial_behind_any_fold(tmp_path):
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0))
    study.optimize(partial(objective, plan=small_plan(tmp_path), evaluate=by_learning_rate), n_trials=1)
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert set(study.trials[0].intermediate_values) == {1}


def test_a_trial_that_cannot_be_fitted_fails_and_the_study_goes_on(tmp_path):
    def fail_first(job: FoldJob) -> FoldResult:
        if job.name == "trial-0-fold-2":
            raise FitError("the loss is NaN")
        return by_learning_rate(job)

    result = run_tuning(small_plan(tmp_path), evaluate=fail_first)
    failed, *rest = result.trials
    assert (failed.state, failed.value, failed.reason, len(failed.scores)) == ("failed", None, "the loss is NaN", 1)
    assert {trial.state for trial in rest} == {"complete"}
    assert result.best.number > 0


def test_a_study_ends_when_most_of_its_first_trials_fail_the_same_way(tmp_path):
    def fail(job: FoldJob) -> FoldResult:
        raise FitError("the loss is NaN")

    finished = []
    with pytest.raises(StudyError, match="first 5 trials fail the same way, and 5 did: the loss is NaN"):
        run_tuning(small_plan(tmp_path, n_trials=50), evaluate=fail, watcher=finished.append)
    assert sum(isinstance(event, TrialFinished) for event in finished) == 5
    with pytest.raises(StudyError, match="none of 3 trials could be scored"):
        run_tuning(small_plan(tmp_path), evaluate=fail)


def test_a_failure_of_the_world_ends_the_study(tmp_path):
    def no_disk(job: FoldJob) -> FoldResult:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_tuning(small_plan(tmp_path), evaluate=no_disk)


def test_a_watcher_is_told_in_order(tmp_path):
    events = []
    run_tuning(small_plan(tmp_path, n_trials=1), evaluate=by_learning_rate, watcher=events.append)
    assert [type(event) for event in events] == [
        StudyStarted,
        TrialStarted,
        FoldScored,
        FoldScored,
        TrialFinished,
        StudyFinished,
    ]


def test_the_best_baseline_forecast_by_mean_over_the_folds_is_named(tmp_path):
    result = run_tuning(small_plan(tmp_path), evaluate=by_learning_rate)
    target = make_features()["log_return_close"].to_numpy()
    mean = [((target[start : start + 40] - target[:start].mean()) ** 2).mean() ** 0.5 for start in (320, 360)]
    assert result.baseline == "mean"
    assert result.baseline_value == pytest.approx(sum(mean) / 2)
    assert result.skill == pytest.approx(1 - result.best_value / result.baseline_value)
    level = run_tuning(
        small_plan(
            tmp_path,
            make_features().assign(log_return_close=lambda frame: 100 + frame["macd"].cumsum()),
            baselines=["zero", "last", "mean"],
        ),
        evaluate=by_learning_rate,
    )
    assert level.baseline == "last"


def test_the_current_window_is_scored_for_the_best_trial_and_left_out_of_its_value(tmp_path):
    jobs = []

    def note(job: FoldJob) -> FoldResult:
        jobs.append(job)
        return by_learning_rate(job)

    result = run_tuning(small_plan(tmp_path, make_features(390)), evaluate=note)
    assert jobs[-1].name == f"trial-{result.best.number}-current-window"
    assert (jobs[-1].folds[0].validation_start, jobs[-1].folds[0].validation_stop) == (360, 390)
    assert jobs[-1].fit.params == result.best_params
    assert result.current_score == score_of(jobs[-1], by_learning_rate(jobs[-1]))
    assert result.best_value == pytest.approx(result.best_params["lr"] + 0.05)


def test_without_a_current_window_nothing_is_scored_for_it(tmp_path):
    assert run_tuning(small_plan(tmp_path), evaluate=by_learning_rate).current_score is None


@pytest.mark.parametrize(
    ("over", "error", "said"),
    [
        ({"horizon": 41}, DataError, "at least `horizon` 41 rows: fold 1 has 40"),
        # 20 + 30 rows hold 30 samples of 20 and one row ahead, and are 85 % of 59.
        (
            {"folds": {"n_folds": 9}},
            DataError,
            "fold 1 needs 59 training rows .*input_chunk_length 20.* has 40; bring 19 earlier",
        ),
        (
            {"folds": {"train_rows": 50}},
            DataError,
            "fold 1 needs 59 training rows .* has 50; increase `train_rows` to 59",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_trial(tmp_path, over, error, said):
    with pytest.raises(error, match=said):
        small_plan(tmp_path, **over)


def test_with_as_many_rows_as_are_needed_the_longest_input_fits(tmp_path):
    plan = small_plan(tmp_path, folds={"train_rows": 106}, n_trials=1)
    assert plan.longest_input is None
    jobs = plan.trial_jobs(0, {**plan.space.defaults(plan.spec.model_name), "input_chunk_length": 60})
    assert evaluated(jobs[0]).n_forecasts == 40


@pytest.mark.parametrize(("train_rows", "longest"), [(60, 21), (105, 59)])
def test_a_space_is_clipped_to_the_inputs_that_fit(tmp_path, train_rows, longest):
    plan = small_plan(tmp_path, folds={"train_rows": train_rows}, n_trials=12)
    # Of 60 rows 9 stop early, of 105 rows 16; 30 samples of an input and one row ahead need 30 rows more.
    assert plan.longest_input == longest
    result = run_tuning(plan, evaluate=by_learning_rate)
    drawn = {trial.params["input_chunk_length"] for trial in result.trials}
    assert 20 <= min(drawn) <= max(drawn) <= longest
    assert len(drawn) > 1
    assert result.longest_input == longest
    jobs = plan.trial_jobs(0, {**plan.space.defaults(plan.spec.model_name), "input_chunk_length": longest})
    assert evaluated(jobs[0]).n_forecasts == 40


def test_a_clipped_space_makes_another_study(tmp_path):
    plan = small_plan(tmp_path, folds={"train_rows": 80})
    longer = replace(plan, longest_input=plan.longest_input + 1)
    whole = replace(plan, longest_input=None)
    assert len({plan.study_name, longer.study_name, whole.study_name}) == 3
    assert plan.family == whole.family


def test_a_current_window_that_cannot_be_scored_costs_no_result(tmp_path):
    def fail_open(job: FoldJob) -> FoldResult:
        if job.name.endswith("current-window"):
            raise FitError("the loss is NaN")
        return by_learning_rate(job)

    result = run_tuning(small_plan(tmp_path, make_features(390)), evaluate=fail_open)
    assert (result.current_score, result.current_reason) == (None, "the loss is NaN")
    assert len(result.trials) == 3


@pytest.mark.parametrize("order", [slice(None, None, -1), [0, 0, *range(1, 400)]], ids=["unsorted", "doubled"])
def test_rows_that_are_not_unique_and_sorted_are_refused(tmp_path, order):
    with pytest.raises(DataError, match="unique and sorted"):
        small_plan(tmp_path, make_features().iloc[order], data={"frequency": "sessions"})


def test_of_a_hold_out_no_row_reaches_the_study(tmp_path):
    frame = make_features(400)
    plan = small_plan(tmp_path, frame, folds={"holdout": 2})
    assert plan.holdout_start == frame.index[320].isoformat()
    assert plan.holdout_end == frame.index[399].isoformat()
    assert len(read_snapshot(plan.snapshot)) == plan.data.rows == 320
    changed = frame.copy()
    changed.iloc[320:] *= 7
    other = small_plan(tmp_path, changed, folds={"holdout": 2})
    assert (other.study_name, other.data, other.baseline_values) == (plan.study_name, plan.data, plan.baseline_values)


def test_a_label_that_looks_into_the_hold_out_is_not_in_the_study(tmp_path):
    plan = small_plan(tmp_path, folds={"holdout": 2, "gap": 3}, features={"label_horizon": 5})
    # Stamped when known, 395 rows are left, with 9 whole windows of 40; the last 4 + 3 before the hold-out are purged.
    assert plan.data.rows == 280 - 4 - 3
    assert plan.current_fold is None


def test_too_few_rows_for_a_hold_out_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"`n_folds` 2 and `holdout` 8 need 11 complete windows of 40 rows"):
        small_plan(tmp_path, folds={"holdout": 8})
