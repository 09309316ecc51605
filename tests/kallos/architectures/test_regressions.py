"""Regressions on lags, against the same regressions by scikit-learn, numpy and LightGBM on columns laid out by hand."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from darts import TimeSeries
from safetensors.numpy import load, save
from sklearn.linear_model import Ridge

from kallos.architectures import Widths, create_model
from kallos.architectures.lagged import WINDOWS
from kallos.errors import DataError
from kallos.scoring.training import quiet_single_thread
from kallos.scoring.weights import restore_weights, weights_bytes

ROWS, LAGS, COVARIATE_LAGS, HORIZON = 150, 4, 2, 3
WIDTHS = Widths(targets=2, covariates=2, known=2)
QUANTILES = (0.1, 0.5, 0.9)
RIDGE = {"alpha": 3.0, "input_chunk_length": LAGS, "covariate_lags": COVARIATE_LAGS}


def numbers(width, *, rows=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def series(values):
    return TimeSeries.from_values(values)


TARGETS, COVARIATES = numbers(2), numbers(2, seed=1)
# Known as far as a forecast from the last row reaches.
KNOWN = numbers(2, rows=ROWS + 10, seed=2)
WEIGHTS = np.linspace(0.1, 2, ROWS, dtype=np.float32)[:, None]


def fitted(name, params, *, lead=1, weights=WEIGHTS, quantiles=None, seed=42):
    model = create_model(name, params, horizon=HORIZON, lead=lead, widths=WIDTHS, quantiles=quantiles, seed=seed)
    with quiet_single_thread():
        model.fit(
            series(TARGETS),
            past_covariates=series(COVARIATES),
            future_covariates=series(KNOWN),
            sample_weight=None if weights is None else series(weights),
        )
    return model


def forecast(model, quantiles=None):
    """Return the forecast after the last row, of shape (steps, targets), or (steps, targets, quantiles)."""
    with quiet_single_thread():
        values = model.predict(
            HORIZON,
            series=series(TARGETS),
            past_covariates=series(COVARIATES),
            future_covariates=series(KNOWN),
            predict_likelihood_parameters=quantiles is not None,
            verbose=False,
        ).values()
    return values if quantiles is None else values.reshape(HORIZON, 2, len(quantiles))


def seen_by(step, lead, *, lags=LAGS, covariate_lags=COVARIATE_LAGS):
    """Return what a step sees at each origin, the last one at the end, and the rows that are forecast before it."""
    origins = np.arange(lags - 1, ROWS)
    rows = origins + lead + step
    past = [TARGETS[origins - lag] for lag in reversed(range(lags))]
    past += [COVARIATES[origins - lag] for lag in reversed(range(covariate_lags))]
    whole = origins + lead + HORIZON - 1 < ROWS
    return np.hstack([*past, KNOWN[rows]]).astype(float), rows[whole], WEIGHTS[(origins + lead)[whole], 0]


@pytest.mark.parametrize("lead", [1, 3])
def test_ridge_is_the_weighted_ridge_of_each_step_on_the_known_columns_of_its_own_row(lead):
    expected = []
    for step in range(HORIZON):
        columns, rows, weight = seen_by(step, lead)
        regression = Ridge(alpha=3.0).fit(columns[: len(rows)], TARGETS[rows].astype(float), sample_weight=weight)
        expected.append(regression.predict(columns[-1:])[0])
    assert np.allclose(forecast(fitted("ridge", RIDGE, lead=lead)), expected, atol=1e-5)


@pytest.mark.parametrize(("of_table", "added"), [(2, 0), (0, 3), (1, 2), (0, 0)])
def test_ridge_reads_so_many_lags_of_the_tables_columns_and_so_many_of_those_that_the_study_adds(of_table, added):
    params = {**RIDGE, "covariate_lags": of_table, "added_lags": added}
    model = create_model("ridge", params, horizon=HORIZON, widths=replace(WIDTHS, added=(1,)))
    with quiet_single_thread():
        model.fit(
            series(TARGETS),
            past_covariates=series(COVARIATES),
            future_covariates=series(KNOWN),
            sample_weight=series(WEIGHTS),
        )
    expected = []
    origins = np.arange(LAGS - 1, ROWS)
    groups = [COVARIATES[origins - lag, 0] for lag in range(of_table)]
    groups += [COVARIATES[origins - lag, 1] for lag in range(added)]
    for step in range(HORIZON):
        columns, rows, weight = seen_by(step, 1, covariate_lags=0)
        wide = np.column_stack([columns, *groups])
        regression = Ridge(alpha=3.0).fit(wide[: len(rows)], TARGETS[rows].astype(float), sample_weight=weight)
        expected.append(regression.predict(wide[-1:])[0])
    assert np.allclose(forecast(model), expected, atol=1e-5)
    assert model.model.operations == HORIZON * 2 * (2 * LAGS + of_table + added + 2)


def test_quantiles_of_ridge_are_those_of_the_errors_of_fits_without_the_sample():
    model = fitted("ridge", RIDGE, weights=None, quantiles=QUANTILES)
    columns, rows, _ = seen_by(1, 1)
    seen, actual = columns[: len(rows)], TARGETS[rows].astype(float)
    errors = np.empty_like(actual)
    for left_out in range(len(rows)):
        others = np.arange(len(rows)) != left_out
        regression = Ridge(alpha=3.0).fit(seen[others], actual[others])
        errors[left_out] = actual[left_out] - regression.predict(seen[[left_out]])[0]
    point = Ridge(alpha=3.0).fit(seen, actual).predict(columns[-1:])[0]
    expected = point[:, None] + np.quantile(errors, QUANTILES, axis=0, method="inverted_cdf").T
    # The intercept of a fit without the sample moves with it, so the identity is exact.
    assert np.allclose(forecast(model, QUANTILES)[1], expected, atol=1e-5)


def test_a_sample_of_no_weight_is_left_out():
    weights = WEIGHTS.copy()
    weights[:50] = 0
    before = forecast(fitted("ridge", RIDGE, weights=weights, quantiles=QUANTILES), QUANTILES)
    learnt = {"past_covariates": series(COVARIATES[46:]), "sample_weight": series(weights[46:])}
    other = create_model("ridge", RIDGE, horizon=HORIZON, widths=WIDTHS, quantiles=QUANTILES)
    with quiet_single_thread():
        other.fit(series(TARGETS[46:]), future_covariates=series(KNOWN[46:]), **learnt)
    assert np.allclose(before, forecast(other, QUANTILES), atol=1e-6)


@pytest.mark.parametrize("sees_covariates", [True, False])
def test_har_is_least_squares_on_the_means_of_a_day_a_week_and_a_month(sees_covariates):
    expected = []
    for step in range(HORIZON):
        columns, rows, weight = seen_by(step, 1, lags=22, covariate_lags=1)
        lags = columns[:, :44].reshape(-1, 22, 2)
        means = [lags[:, -window:].mean(axis=1) for window in WINDOWS]
        covariates = [columns[:, 44:46]] if sees_covariates else []
        wide = np.hstack([*means, *covariates, columns[:, -2:], np.ones((len(columns), 1))])
        root = np.sqrt(weight)[:, None]
        solved, *_ = np.linalg.lstsq(root * wide[: len(rows)], root * TARGETS[rows], rcond=None)
        expected.append(wide[-1] @ solved)
    assert np.allclose(forecast(fitted("har", {"covariates": sees_covariates})), expected, atol=1e-4)


TREES = {"n_estimators": 100, "min_child_samples": 10, "input_chunk_length": LAGS, "covariate_lags": COVARIATE_LAGS}


@pytest.mark.parametrize("lead", [1, 3])
@pytest.mark.parametrize("level_rows", [0, 3])
def test_lightgbm_has_trees_for_each_step_and_target_on_the_known_columns_of_its_own_row(lead, level_rows):
    model = fitted("lightgbm", {**TREES, "level_rows": level_rows}, lead=lead)
    params = {name: value for name, value in model.model.params.items() if name != "n_estimators"}
    expected = np.empty((HORIZON, 2))
    for step in range(HORIZON):
        columns, rows, weight = seen_by(step, lead)
        lags = columns[:, : 2 * LAGS].reshape(-1, LAGS, 2)
        levels = lags[:, LAGS - level_rows :].mean(axis=1) if level_rows else np.zeros((len(columns), 2))
        columns = np.hstack([(lags - levels[:, None]).reshape(len(columns), -1), columns[:, 2 * LAGS :]])
        for target in range(2):
            outputs = TARGETS[rows, target] - levels[: len(rows), target]
            data = lightgbm.Dataset(columns[: len(rows)], outputs, weight=weight)
            trees = lightgbm.train({**params, "objective": "regression"}, data, num_boost_round=100)
            expected[step, target] = levels[-1, target] + trees.predict(columns[-1:])[0]
    assert np.allclose(forecast(model), expected, atol=1e-6)


def test_trees_follow_a_level_that_they_have_never_seen_and_without_one_stay_where_they_learnt():
    rising = (TARGETS + 1000 * np.arange(ROWS)[:, None]).astype(np.float32)
    of_level = {}
    for level_rows in (0, 3):
        model = create_model("lightgbm", {**TREES, "level_rows": level_rows}, horizon=1, widths=Widths(2, 0))
        with quiet_single_thread():
            model.fit(series(rising[:-50]))
            of_level[level_rows] = model.predict(1, series=series(rising[:-1]), verbose=False).values()[0]
    # The last value is 2000 above the mean of the last three rows before it; without a level no forecast passes the
    # largest value of the rows that the trees have learnt from.
    assert np.allclose(of_level[3], rising[-1], atol=100)
    assert (of_level[0] <= rising[:-50].max(axis=0)).all()


@pytest.mark.parametrize(("name", "params"), [("ridge", RIDGE), ("har", {}), ("lightgbm", TREES)])
def test_quantiles_are_in_order_and_hold_about_their_share_of_the_outcomes(name, params):
    model = fitted(name, params, quantiles=QUANTILES)
    forecasts = model.historical_forecasts(
        series(TARGETS),
        past_covariates=series(COVARIATES),
        future_covariates=series(KNOWN),
        start=40,
        forecast_horizon=HORIZON,
        retrain=False,
        last_points_only=False,
        predict_likelihood_parameters=True,
    )
    values = np.stack([each.values() for each in forecasts]).reshape(-1, HORIZON, 2, 3)
    assert (np.diff(values) >= 0).all()
    actual = np.stack([TARGETS[40 + i : 40 + i + HORIZON] for i in range(len(values))])[..., None]
    assert (actual < values).mean(axis=(0, 1, 2)) == pytest.approx(QUANTILES, abs=0.1)


@pytest.mark.parametrize(("name", "params"), [("ridge", RIDGE), ("har", {}), ("lightgbm", TREES)])
def test_samples_have_weights(name, params):
    even, uneven = (forecast(fitted(name, params, weights=weights)) for weights in (None, WEIGHTS))
    assert not np.allclose(even, uneven)


def test_the_trees_of_a_seed_are_the_same_and_of_another_are_others():
    first, again, other = (fitted("lightgbm", TREES, seed=seed) for seed in (1, 1, 2))
    assert forecast(first).tobytes() == forecast(again).tobytes()
    assert not np.array_equal(forecast(first), forecast(other))


def test_covariates_have_no_more_lags_than_the_target():
    model = create_model("ridge", {"input_chunk_length": 2, "covariate_lags": 9}, widths=WIDTHS)
    assert model.extreme_lags[0] == -2


def test_a_text_that_is_no_trees_is_refused_in_one_line():
    texts = load(weights_bytes(fitted("lightgbm", TREES)))
    spoilt = {name: np.frombuffer(b"no trees", np.uint8) for name in texts}
    other = create_model("lightgbm", TREES, horizon=HORIZON, widths=WIDTHS)
    with quiet_single_thread(), pytest.raises(DataError, match="must hold the weights of this architecture") as refused:
        restore_weights(other, save(spoilt), WIDTHS, "a file")
    assert "\n" not in str(refused.value)
