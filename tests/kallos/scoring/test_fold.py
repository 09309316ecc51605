from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.architectures import Architecture
from kallos.errors import DataError, FitError
from kallos.folds.cut import Fold
from kallos.scoring import job
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.specs.data import FeatureSpec
from kallos.specs.study import TrainingSpec
from kallos.tuner import run_tuning
from tests.samples import (
    baseline_values,
    content_of,
    evaluated,
    make_features,
    small_job,
    small_plan,
    small_spec,
)


def test_baseline_forecasts_are_scored_over_every_origin_and_step():
    frame = pd.DataFrame({"log_return_close": [9.0, 1.0, 2.0, 4.0, 8.0]})
    fold = Fold(1, 0, 2, 2, 5)
    scores = baseline_values(frame, fold, small_spec(horizon=2))
    # Origins at rows 1 and 2 forecast (2, 4) and (4, 8); the last known values are 1 and 2.
    assert scores["zero"] == pytest.approx(np.sqrt((4 + 16 + 16 + 64) / 4))
    assert scores["last"] == pytest.approx(np.sqrt((1 + 9 + 4 + 36) / 4))
    # Known at the first origin are 9 and 1, whose mean is 5.
    assert scores["mean"] == pytest.approx(np.sqrt((9 + 1 + 1 + 9) / 4))


def test_the_last_value_of_a_forward_label_is_the_last_one_that_was_known():
    frame = pd.DataFrame({"log_return_close": [5.0, 1.0, 2.0, 4.0, 8.0]})
    scores = baseline_values(frame, Fold(1, 0, 1, 3, 5), small_spec(features={"label_horizon": 3}))
    assert scores["last"] == pytest.approx(np.sqrt(((4 - 5) ** 2 + (8 - 1) ** 2) / 2))
    # Of the rows before the window, 1 and 2 are not known at its first origin.
    assert scores["mean"] == pytest.approx(np.sqrt(((4 - 5) ** 2 + (8 - 5) ** 2) / 2))


def test_the_mean_that_forecasts_a_fold_is_that_of_the_rows_that_the_fold_sees():
    frame = pd.DataFrame({"log_return_close": [99.0, 1.0, 3.0, 5.0, 8.0, 2.0]})
    # The row between training and window is purged, and known.
    scores = baseline_values(frame, Fold(1, 1, 3, 4, 6), small_spec())
    assert scores["mean"] == pytest.approx(np.sqrt(((8 - 3) ** 2 + (2 - 3) ** 2) / 2))


def test_of_a_coin_no_model_is_held_against_less_than_the_share_of_heads(tmp_path):
    heads = pd.Series(np.random.default_rng(1).integers(0, 2, 400).astype(float), index=make_features().index)
    over = {"model_name": "ridge", "baselines": ["zero", "last", "mean"]}
    plan = small_plan(tmp_path, make_features().assign(up=heads), features={"target": "up"}, **over)
    result = run_tuning(plan)
    known = [heads[:start].mean() for start in (320, 360)]
    actual = [heads[start : start + 40] for start in (320, 360)]
    best = [np.sqrt(np.mean((each - share) ** 2)) for each, share in zip(actual, known, strict=True)]
    assert (result.baseline, result.baseline_value) == ("mean", pytest.approx(np.mean(best)))
    assert result.skill < 0


@pytest.mark.parametrize(("horizon", "label_horizon"), [(1, 0), (3, 0), (1, 4), (2, 4)])
def test_the_score_is_that_of_forecasts_made_one_origin_at_a_time(tmp_path, horizon, label_horizon):
    job = small_job(tmp_path, horizon=horizon, features={"label_horizon": label_horizon})
    fitted = fit_fold(job)
    (prepared,) = fitted.series
    fold, lead = prepared.fold, max(label_horizon, 1)
    frame = make_features()
    actual = frame["log_return_close"].shift(label_horizon).iloc[label_horizon:].to_numpy()[job.folds[0].rows]
    errors = []
    for first in range(fold.validation_start, fold.validation_stop - horizon + 1):
        # What is known at the origin, and not a row more, is all that the model is shown.
        known = first - lead + 1
        forecast = fitted.model.predict(
            horizon,
            series=prepared.target[:known],
            past_covariates=prepared.past_covariates[:known],
            verbose=False,
        )
        assert forecast.start_time() == first
        errors.append(prepared.target_scale.restore(forecast.values())[:, 0] - actual[first : first + horizon])
    score = evaluated(job)
    assert score.n_forecasts == np.size(errors) == (40 - horizon + 1) * horizon
    # One origin at a time and all at once are other sums of float32.
    assert score.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)
    assert score.mae == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), fold=st.integers(0, 1), label_horizon=st.sampled_from([0, 4]))
def test_nothing_after_the_training_end_moves_a_trained_weight(tmp_path_factory, seed, fold, label_horizon):
    folder, frame = tmp_path_factory.getbasetemp(), make_features()
    spec = {"features": {"label_horizon": label_horizon}}
    job = small_job(folder, frame, fold=fold, **spec)
    changed = frame.copy()
    later = slice(job.folds[0].train_stop + label_horizon, None)
    changed.iloc[later] = np.abs(np.random.default_rng(seed).normal(size=changed.iloc[later].shape)) * 100
    other = small_job(folder, changed, fold=fold, **spec)
    assert other.folds == job.folds
    assert other.rows_sha256 != job.rows_sha256
    before, after = (fit_fold(each).model.model.state_dict() for each in (job, other))
    assert all(before[name].equal(after[name]) for name in before)


@pytest.mark.parametrize("label_horizon", [0, 4])
def test_the_rows_that_stop_training_early_scale_nothing(tmp_path, label_horizon):
    frame = make_features()
    spec = {"features": {"label_horizon": label_horizon}}
    job = small_job(tmp_path, frame, **spec)
    inner = job.folds[0].train_stop - round(0.15 * job.folds[0].train_stop)
    changed = frame.copy()
    changed.iloc[inner + label_horizon :] *= 5
    before, after = (fit_fold(each).series[0] for each in (job, small_job(tmp_path, changed, **spec)))
    assert before.target_scale == after.target_scale
    assert before.past_covariates[:inner] == after.past_covariates[:inner]
    assert before.past_covariates != after.past_covariates


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), row=st.integers(0, 30), label_horizon=st.sampled_from([0, 1, 4]))
def test_values_that_are_not_known_yet_move_no_forecast(tmp_path_factory, seed, row, label_horizon):
    folder, frame = tmp_path_factory.getbasetemp(), make_features()
    spec = {"horizon": 2, "features": {"label_horizon": label_horizon}}
    job = small_job(folder, frame, **spec)
    # Forecast `row` of the window is made `lead` rows before it. All later rows of the table change, and of a
    # forward label all values that look at them.
    origin = label_horizon + job.folds[0].validation_start + row - max(label_horizon, 1)
    changed = frame.copy()
    later = slice(origin + 1, None)
    changed.iloc[later] = np.abs(np.random.default_rng(seed).normal(size=changed.iloc[later].shape)) * 100
    changed.iloc[origin + 1 - label_horizon :, frame.columns.get_loc("log_return_close")] = 7.0
    other = small_job(folder, changed, **spec)
    fitted = fit_fold(job)
    before = forecasts_of(job, fitted)[0].point
    # The weights of the first: what they may depend on is tested above.
    after = forecasts_of(other, replace(fitted, series=fit_fold(other).series))[0].point
    np.testing.assert_array_equal(before[: row + 1], after[: row + 1])
    assert not np.array_equal(before, after)


def test_a_job_has_one_result_to_the_bit(tmp_path):
    job = small_job(tmp_path)
    assert content_of(job, evaluate_fold(job)) == content_of(job, evaluate_fold(job))


def test_another_seed_is_another_score(tmp_path):
    job = small_job(tmp_path)
    assert evaluated(job).rmse != evaluated(replace(job, fit=replace(job.fit, seed=7))).rmse


def test_training_stops_early_and_keeps_the_weights_of_its_best_epoch(tmp_path):
    job = small_job(tmp_path, training={"max_epochs": 60, "patience": 3})
    job = replace(job, fit=replace(job.fit, params={**job.fit.params, "lr": 0.01}))
    result = evaluate_fold(job)
    assert result.fit.epochs == result.fit.best_epoch + 3 < 60
    # A training that ends just there has the same weights, and so the same forecasts.
    shorter = evaluate_fold(
        replace(job, fit=replace(job.fit, training=TrainingSpec(max_epochs=result.fit.best_epoch, patience=3)))
    )
    np.testing.assert_array_equal(shorter.assets[0].quantiles, result.assets[0].quantiles)


def test_a_model_that_cannot_be_built_is_a_property_of_the_job(tmp_path):
    job = small_job(tmp_path)
    with pytest.raises(FitError, match=r"gru cannot be fitted: .*hidden"):
        evaluate_fold(replace(job, fit=replace(job.fit, params={**job.fit.params, "hidden_dim": -1})))


def test_forecasts_that_are_not_finite_are_a_property_of_the_job(tmp_path):
    job = small_job(tmp_path)
    with pytest.raises(FitError):
        evaluate_fold(replace(job, fit=replace(job.fit, params={**job.fit.params, "lr": 1e30})))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"horizon": 2},
        {"params": {"hidden_dim": 33}},
        {"model_name": "lstm"},
        {"training": TrainingSpec(max_epochs=9)},
        {"features": FeatureSpec(label_horizon=2)},
        {"quantiles": (0.1, 0.5, 0.9)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_moves_with_what_is_fitted(tmp_path, change):
    job = small_job(tmp_path)
    assert replace(job, fit=replace(job.fit, **change)).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    "change",
    [{"rows_sha256": "0"}, {"folds": (Fold(1, 0, 319, 320, 360),)}],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_moves_with_what_is_forecast(tmp_path, change):
    job = small_job(tmp_path)
    assert replace(job, **change).fingerprint != job.fingerprint


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (job, "EVALUATION_VERSION", 0),
        (job, "machine", lambda: {"darts": "0.1"}),
        (Architecture, "source_sha256", "0"),
    ],
    ids=["evaluation", "machine and libraries", "recipe"],
)
def test_the_fingerprint_moves_with_code_and_libraries(tmp_path, monkeypatch, owner, name, value):
    before = small_job(tmp_path).fingerprint
    monkeypatch.setattr(owner, name, value)
    assert small_job(tmp_path).fingerprint != before


def test_a_snapshot_of_other_rows_is_never_scored(tmp_path):
    job = small_job(tmp_path)
    with pytest.raises(DataError, match="must have the rows of its jobs"):
        evaluate_fold(replace(job, rows_sha256="0" * 64))


def test_a_snapshot_that_cannot_be_read_is_no_property_of_the_job(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(OSError, match="a snapshot must be readable"):
        evaluate_fold(replace(small_job(tmp_path), snapshot=str(broken)))


def test_the_fingerprint_stands_still_for_names_and_places(tmp_path):
    job = small_job(tmp_path)
    fold = job.folds[0]
    moved = Fold(9, fold.train_start + 5, fold.train_stop + 5, fold.validation_start + 5, fold.validation_stop + 5)
    assert replace(job, name="x", snapshot="y", folds=(moved,)).fingerprint == job.fingerprint
