import numpy as np
import pytest

from kallos.architectures import create_model
from kallos.datasets import prepare_darts_timeseries
from kallos.errors import DataError, UsageError
from kallos.features.snapshots import write_snapshot
from kallos.folds.cut import Fold
from kallos.models.forecasting import forecast_windows
from kallos.models.manifest import Choice
from kallos.models.trainer import choose, train
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.scoring.loop import NetworkTrainer
from kallos.scoring.training import quiet_single_thread
from kallos.study.again import plan_again
from kallos.study.choice import Member
from kallos.study.replication import replicate
from tests.samples import by_learning_rate, fold_result
from tests.small_models import FinishedStudy, finished_study, on_rows, small_model


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> FinishedStudy:
    # Without recency, so that Darts alone can train the same.
    return finished_study(tmp_path_factory.mktemp("study"), space={"half_life": 0, "train_rows": 0})


def plan_of(study: FinishedStudy):
    return plan_again(study.best, study.rows, f"{study.snapshots}/{study.best.data.sha256}.parquet")


QUANTILES = {"likelihood": "quantile", "quantiles": (0.1, 0.5, 0.9), "metric": "crps"}
TWO = {"features": {"target": ["log_return_close", "macd"]}}


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"horizon": 2, "features": {"label_horizon": 4, "log_return_pca": 0.9}},
        QUANTILES,
        {"horizon": 2, **TWO, **QUANTILES},
        {"horizon": 2, "model_name": "ridge", **TWO},
    ],
)
def test_a_model_of_a_folds_training_rows_forecasts_as_that_fold_does_to_the_bit(tmp_path, over):
    study = finished_study(tmp_path, **over)
    job = plan_of(study).trial_jobs(0, study.best.best_params)[1]
    fold = job.folds[0]
    past = study.rows.iloc[: fold.train_stop]
    model = train(on_rows(study.best, past), write_snapshot(past, study.snapshots), choose(study.best), seeds=1)
    forecasts = forecast_windows(model, study.rows, fold.validation_start, fold.validation_stop)
    (of_fold,) = forecasts_of(job, fit_fold(job))
    np.testing.assert_array_equal(forecasts["0-42"].quantiles, of_fold.quantiles)


def test_of_models_that_no_seed_tells_apart_one_is_kept(tmp_path):
    study = finished_study(tmp_path, model_name="ridge")
    model = small_model(study, seeds=3)
    assert model.labels == ("0-42",)
    assert model.weights == (1.0,)
    assert model.files() == small_model(study, seeds=1).files()


def test_rolling_windows_train_on_as_many_rows_as_those_of_the_study(study):
    spec = study.best.spec
    rolling = spec.model_copy(update={"folds": spec.folds.model_copy(update={"train_rows": 200})})
    by_window = train(study.best.model_copy(update={"spec": rolling}), study.snapshot, choose(study.best), seeds=1)
    last = study.rows.iloc[-200:]
    alone = train(on_rows(study.best, last), write_snapshot(last, study.snapshots), choose(study.best), seeds=1)
    assert by_window.files() == alone.files()
    assert by_window.manifest.train_start == str(last.index[0].isoformat())


def test_median_epochs_train_on_every_row_without_looking_at_a_loss(study):
    epochs = [fold.best_epoch for fold in study.best.folds]
    model = small_model(study, seeds=1, refit="median-epochs")
    number = round(float(np.median(epochs)))
    assert [member.best_epoch for member in model.manifest.members] == [number]
    # The same by Darts' own `fit`.
    n_rows = len(study.rows)
    whole = prepare_darts_timeseries(study.rows, Fold(0, 0, n_rows, n_rows, n_rows), study.best.spec.features)
    plain = create_model("gru", study.best.best_params, max_epochs=number, seed=study.best.spec.seed)
    with quiet_single_thread():
        plain.fit(whole.target, past_covariates=whole.past_covariates, trainer=NetworkTrainer(plain))
    weights = model.members[0].model.model.state_dict()
    assert all(value.equal(weights[name]) for name, value in plain.model.state_dict().items())


def test_the_same_training_is_the_same_model_and_another_seed_or_refit_another(study):
    first, second = small_model(study), small_model(study)
    assert first.manifest == second.manifest
    assert first.files() == second.files()
    assert first.labels == ("0-42", "0-43")
    assert first.weights == (0.5, 0.5)
    assert small_model(study, seeds=1).model_id != first.model_id
    assert small_model(study, refit="median-epochs").model_id != first.model_id


def test_rows_that_the_study_did_not_see_train_nothing(study):
    with pytest.raises(DataError, match="must be trained on the rows of its study"):
        train(study.best, write_snapshot(study.rows.iloc[:-1], study.snapshots), choose(study.best))
    with pytest.raises(UsageError, match="`seeds` must be 1 or more, not 0"):
        small_model(study, seeds=0)


def test_what_the_file_does_not_have_is_refused_with_what_to_do(study):
    assert "ensemble" in (choose(study.best).note or "")
    assert choose(study.best, "best").note is None
    assert choose(study.best).members == choose(study.best, "best").members
    assert choose(study.best).members == (Member(trial=0, params=study.best.best_params, weight=1.0),)
    for how, wanted in (("simplest", "simplest trial"), ("ensemble", "ensemble")):
        with pytest.raises(UsageError, match=f"the study's file has no {wanted}: .*; set `choose` to best"):
            choose(study.best, how)


def choice_of(*members: Member) -> Choice:
    return Choice(choose="ensemble", members=members)


def test_epochs_of_a_trial_that_the_file_has_no_folds_of_come_from_its_seed_replication(study):
    other = Member(trial=7, params=study.best.best_params, weight=1.0)
    with pytest.raises(UsageError, match="median-epochs needs the epochs of trial 7"):
        train(study.best, study.snapshot, choice_of(other), seeds=1, refit="median-epochs")
    replicated = replicate(plan_of(study), [other], seeds=1, evaluate=by_learning_rate)
    model = train(
        study.best, study.snapshot, choice_of(other), seeds=1, refit="median-epochs", seed_replication=replicated
    )
    assert model.manifest.members[0].epochs == 1
    assert model.manifest.seed_replication == replicated


def test_a_seed_replication_is_the_mean_and_spread_over_seeds_of_the_mean_over_folds(study):
    plan = plan_of(study)

    def forecast(job):
        return fold_result(job, 1.0 + job.fit.seed - 42 + 0.5 * job.number)

    replicated = replicate(plan, choose(study.best).members, seeds=3, evaluate=forecast, workers=2)
    # Means over folds 1 and 2: 1.75, 2.75 and 3.75.
    assert replicated.seeds == (42, 43, 44)
    assert replicated.values == (1.75, 2.75, 3.75)
    assert replicated.mean == 2.75
    assert replicated.sd == 1.0
    assert (replicated.baseline, replicated.baseline_value) == (plan.baseline, plan.baseline_value)


@pytest.mark.parametrize("over", [{}, {**TWO, **QUANTILES}])
def test_the_studys_own_seed_replicates_its_own_value_by_its_own_metric(tmp_path, over):
    study = finished_study(tmp_path, **over)
    replicated = replicate(plan_of(study), choose(study.best).members, seeds=1, evaluate=evaluate_fold)
    assert replicated.values == (study.best.best_value,)
    assert replicated.sd is None
