import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kallos.baselines.forecasts import baseline_forecasts
from kallos.baselines.window import Window
from kallos.errors import UsageError
from kallos.features.frequency import Frequency, find_frequency
from tests.samples import small_spec


def make_holdout(n_rows=120, *, start=90, horizon=2, lead=1, frequency="D", seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"y": rng.normal(size=n_rows).cumsum(), "x": rng.normal(size=n_rows)})
    frame.index = pd.date_range("2020-01-01", periods=n_rows, freq="D")
    return holdout_of(frame, start, Frequency.of(frequency), horizon=horizon, lead=lead)


def holdout_of(frame, start, frequency, *, horizon=1, lead=1, target="y", levels=None, target_transform="none", **over):
    likelihood = {} if levels is None else {"likelihood": "quantile", "quantiles": levels}
    features = {"target": target, "label_horizon": lead, "target_transform": target_transform}
    spec = small_spec(features=features, horizon=horizon, **likelihood, **over)
    return Window.of_holdout(frame, slice(start, len(frame)), spec, frequency)


def points_of(holdout):
    """Return the points of all baselines of a single target."""
    return {name: each.point[..., 0] for name, each in baseline_forecasts(holdout).items()}


def test_a_hold_out_scores_all_origins_whose_horizon_lies_in_it():
    holdout = make_holdout(12, start=8, horizon=2, lead=3)
    values = holdout.frame["y"].to_numpy()
    assert holdout.actual[..., 0].tolist() == [
        [values[8], values[9]],
        [values[9], values[10]],
        [values[10], values[11]],
    ]
    assert holdout.origins.tolist() == [5, 6, 7]
    assert holdout.history[:, 0].tolist() == values[:6].tolist()
    assert holdout.overlap == 4


def test_baselines_are_those_of_darts():
    from darts import TimeSeries
    from darts.models import NaiveDrift, NaiveMean, NaiveSeasonal

    holdout = make_holdout(60, start=30, horizon=9)
    forecasts = points_of(holdout)
    series = TimeSeries.from_values(holdout.values)
    for row in (0, 5, 21):
        known = series[: holdout.start + row]
        for name, model in {"last": NaiveSeasonal(1), "seasonal": NaiveSeasonal(7), "drift": NaiveDrift()}.items():
            expected = model.fit(known).predict(9).values()[:, 0]
            assert forecasts[name][row] == pytest.approx(expected), name
        # The mean is that of what was known at the first origin.
        assert forecasts["mean"][row] == pytest.approx(NaiveMean().fit(series[:30]).predict(9).values()[:, 0])
        assert not forecasts["zero"][row].any()


def test_baselines_of_a_label_that_looks_ahead_take_the_last_labels_that_are_known():
    holdout = make_holdout(60, start=30, horizon=2, lead=4)
    y, forecasts = holdout.values[:, 0], points_of(holdout)
    # The first forecast row is 30, and the last label that is known when it is made is that of row 26.
    assert forecasts["last"][0].tolist() == [y[26], y[26]]
    assert forecasts["drift"][0] == pytest.approx(y[26] + (y[26] - y[0]) / 26 * np.array([4, 5]))
    assert forecasts["seasonal"][0].tolist() == [y[23], y[24]]
    assert forecasts["mean"][0] == pytest.approx(y[:27].mean())


def test_the_moving_mean_weighs_known_values_by_powers_of_94_percent():
    holdout = make_holdout(60, start=30, horizon=2, lead=4)
    y, forecast = holdout.values[:, 0], points_of(holdout)["ewma"]
    # What is known at the first origin are rows 0 to 26; the first one keeps the rest of the weight.
    weights = 0.06 * 0.94 ** np.arange(26, -1, -1)
    weights[0] = 0.94**26
    assert weights.sum() == pytest.approx(1)
    assert forecast[0] == pytest.approx(y[:27] @ weights)
    assert forecast[5] == pytest.approx(np.repeat(forecast[4, 0] * 0.94 + 0.06 * y[31], 2))


def test_a_column_of_the_study_forecasts_all_targets_and_steps_in_their_own_units():
    frame = make_holdout().frame.assign(vix=np.arange(120.0), z=lambda each: 10 * each["x"])
    form = {"horizon": 2, "lead": 3, "target": ["y", "z"], "baselines": ["column:vix"]}
    holdout = holdout_of(frame, 90, Frequency("D"), **form)
    forecast = baseline_forecasts(holdout)["column:vix"].point * holdout.unit
    # From row 87 on.
    assert forecast[:, :, 1] == pytest.approx(np.repeat(np.arange(87.0, 87 + len(forecast))[:, None], 2, axis=1))
    np.testing.assert_allclose(forecast[:, :, 0], forecast[:, :, 1])
    with pytest.raises(UsageError, match="study's columns, and 'vxi' is not: did you mean 'vix'"):
        baseline_forecasts(holdout, ["column:vxi"])


@pytest.mark.parametrize(("lead", "horizon"), [(1, 1), (4, 3), (9, 2)])
def test_no_forecast_moves_with_a_row_behind_its_origin(lead, horizon):
    before = make_holdout(lead=lead, horizon=horizon)
    middle = 10
    frame = before.frame.copy()
    frame.iloc[before.origins[middle] + 1 :] += 100
    after = holdout_of(frame, before.start, Frequency("D"), horizon=horizon, lead=lead)
    of_after = points_of(after)
    for name, forecast in points_of(before).items():
        moved = of_after[name]
        assert np.array_equal(forecast[: middle + 1], moved[: middle + 1]), name
        assert name in ("zero", "mean") or not np.array_equal(forecast[-1], moved[-1]), name


def test_no_quantile_moves_with_a_row_behind_the_first_origin_and_each_is_of_errors_before():
    points = make_holdout(horizon=3, lead=2)
    form = {"horizon": 3, "lead": 2, "levels": (0.1, 0.5, 0.9)}
    holdout = holdout_of(points.frame, points.start, points.frequency, **form)
    frame = holdout.frame.copy()
    frame.iloc[holdout.origins[0] + 1 :] += 100
    moved = baseline_forecasts(holdout_of(frame, points.start, points.frequency, **form))
    for name, forecast in baseline_forecasts(holdout).items():
        assert np.array_equal(forecast.quantiles[0], moved[name].quantiles[0]), name
    # Repeating the value of a week before takes an origin from row 5 on, and one whose last step is row 88 or before.
    y, forecast = holdout.values[:, 0], baseline_forecasts(holdout)["seasonal"]
    errors = [[y[origin + ahead] - y[origin + ahead - 7] for ahead in (2, 3, 4)] for origin in range(5, 85)]
    expected = np.quantile(errors, (0.1, 0.5, 0.9), axis=0).T
    spread = (forecast.quantiles - forecast.point[..., None])[:, :, 0]
    np.testing.assert_allclose(spread, np.broadcast_to(expected, (28, 3, 3)))


def test_several_targets_have_each_the_forecasts_that_it_has_alone():
    one, other = make_holdout(60, start=30, horizon=9), make_holdout(60, start=30, horizon=9, seed=1)
    frame = pd.DataFrame({"y": one.frame["y"], "z": other.frame["y"]})
    both = holdout_of(frame, 30, one.frequency, horizon=9, target=["y", "z"])
    together = baseline_forecasts(both)
    for position, alone in enumerate((one, other)):
        assert both.unit[position] == pytest.approx(alone.values[:30].std())
        for name, forecast in points_of(alone).items():
            if name != "ridge":
                own = together[name].point[..., position] * both.unit[position]
                np.testing.assert_allclose(own, forecast, atol=1e-12)
    # A ridge regression of each target on the lags of both.
    of_both = together["ridge"].point[..., 0] * both.unit[0]
    of_one = points_of(holdout_of(frame, 30, one.frequency, horizon=9))["ridge"]
    np.testing.assert_allclose(of_both, of_one, rtol=1e-6)


def test_a_season_needs_two_periods_that_are_known():
    assert "seasonal" in points_of(make_holdout(50, start=14, frequency="D"))
    assert "seasonal" not in points_of(make_holdout(50, start=13, frequency="D"))
    assert "seasonal" not in points_of(make_holdout(frequency="rows"))


def hours_of(index: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a target that comes again each day but for a noise of .05, and says nothing else of itself."""
    rng = np.random.default_rng(3)
    noise = pd.Series(0.05 * rng.normal(size=3648), pd.date_range("2024-01-01", periods=3648, freq="h"))
    return pd.DataFrame({"y": 2 * rng.normal(size=24)[index.hour] + noise[index]}, index=index)


@pytest.mark.parametrize("lead", [1, 30])
@pytest.mark.parametrize("levels", [None, (0.1, 0.5, 0.9)])
def test_hours_that_are_missing_move_no_season(lead, levels):
    full = pd.date_range("2024-01-01", "2024-04-30 23:00", freq="h")
    lacking = full.delete([501, 502, 900])
    of_full, of_lacking = (
        baseline_forecasts(holdout_of(hours_of(index), len(index) - 720, frequency, lead=lead, levels=levels))[
            "seasonal"
        ]
        for index, frequency in ((full, Frequency("h")), (lacking, find_frequency(lacking, "sessions")))
    )
    days_before = 24 * (-(-lead // 24))
    april = hours_of(full)["y"].to_numpy()
    assert np.array_equal(of_full.point[:, 0, 0], april[-720 - days_before : len(april) - days_before])
    assert np.array_equal(of_lacking.point, of_full.point)
    # The difference of two noises.
    assert np.sqrt(np.mean((of_lacking.point[:, 0, 0] - april[-720:]) ** 2)) == pytest.approx(
        0.05 * np.sqrt(2), rel=0.05
    )
    if levels is not None:
        assert of_lacking.quantiles == pytest.approx(of_full.quantiles, abs=0.01)


def test_ridge_finds_the_coefficients_of_a_series_that_follows_its_lags_and_a_covariate():
    rng = np.random.default_rng(0)
    n_rows = 1500
    x, noise, y = rng.normal(size=n_rows), 0.1 * rng.normal(size=n_rows), np.zeros(n_rows)
    for row in range(2, n_rows):
        y[row] = 0.6 * y[row - 1] - 0.3 * y[row - 2] + 0.5 * x[row - 1] + noise[row]
    holdout = holdout_of(pd.DataFrame({"y": y, "x": x}), 1200, Frequency(None))
    best = (y - noise)[1200:]
    # 48 coefficients from 1,200 rows: an error of .1 times the root of .04 is to be expected.
    assert np.sqrt(np.mean((points_of(holdout)["ridge"][:, 0] - best) ** 2)) < 0.03


def test_ridge_is_that_of_darts_on_the_same_lags():
    from darts import TimeSeries
    from darts.models import SKLearnModel

    holdout = make_holdout(200, start=150, horizon=3, lead=2)
    # 149 rows are known at the first origin: 14 lags.
    model = SKLearnModel(
        lags=14,
        lags_past_covariates=14,
        output_chunk_length=3,
        output_chunk_shift=1,
        model=make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 7, 10), alpha_per_target=True)),
    )
    target, covariates = (TimeSeries.from_values(holdout.frame[[name]].to_numpy()) for name in ("y", "x"))
    model.fit(target[:149], past_covariates=covariates[:149])
    forecast = points_of(holdout)["ridge"]
    for row in (0, 20):
        known = 149 + row
        expected = model.predict(3, series=target[:known], past_covariates=covariates[:known]).values()[:, 0]
        assert forecast[row] == pytest.approx(expected)


def test_the_quantiles_of_ridge_are_those_of_errors_without_each_sample():
    holdout = holdout_of(make_holdout(150).frame, 100, Frequency("D"), levels=(0.1, 0.5, 0.9), horizon=2)
    forecast = baseline_forecasts(holdout, ["ridge"])["ridge"]
    # 100 rows are known: 10 lags of both columns, from row 9 on.
    table, samples = holdout.frame.to_numpy(), np.arange(9, 98)
    lags = np.stack([table[row - 9 : row + 1][::-1].ravel() for row in samples])
    scaled, following = StandardScaler().fit_transform(lags), holdout.following(samples)[..., 0]
    strengths = RidgeCV(np.logspace(-2, 7, 10), alpha_per_target=True).fit(scaled, following).alpha_
    for step in (0, 1):
        errors = []
        for left_out in range(len(samples)):
            others = np.arange(len(samples)) != left_out
            fitted = Ridge(strengths[step]).fit(scaled[others], following[others, step])
            errors.append(following[left_out, step] - fitted.predict(scaled[[left_out]])[0])
        spread = (forecast.quantiles - forecast.point[..., None])[:, step, 0]
        np.testing.assert_allclose(
            spread, np.broadcast_to(np.quantile(errors, (0.1, 0.5, 0.9)), spread.shape), rtol=1e-6
        )
