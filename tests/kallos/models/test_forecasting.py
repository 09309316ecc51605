import numpy as np
import pandas as pd
import pytest

from kallos.errors import DataError, UsageError
from kallos.features.market import Market
from kallos.folds.columns import study_frame
from kallos.models.forecasting import forecast_next, forecast_windows
from kallos.models.trained import TrainedModel
from kallos.scoring.forecast import Forecast
from kallos.scoring.rolling import rows_before
from tests.samples import make_features
from tests.small_models import are_same, finished_study, small_model


def trained_on(folder, frame=None, **over) -> TrainedModel:
    return small_model(finished_study(folder, frame=frame, **over))


@pytest.fixture(scope="module")
def next_day(tmp_path_factory) -> TrainedModel:
    return trained_on(tmp_path_factory.mktemp("next"), horizon=3)


@pytest.fixture(scope="module")
def label_of_four(tmp_path_factory) -> TrainedModel:
    return trained_on(tmp_path_factory.mktemp("label"), horizon=2, features={"label_horizon": 4})


def rows_of(model: TrainedModel, frame: pd.DataFrame) -> pd.DataFrame:
    return study_frame(frame, model.manifest.spec.features)


@pytest.mark.parametrize("which", ["next_day", "label_of_four"])
def test_the_next_forecast_is_that_of_the_same_origin_in_a_window(which, request):
    model = request.getfixturevalue(which)
    rows, lead, horizon = rows_of(model, make_features()), model.manifest.lead, model.manifest.horizon
    origin = 330
    following = forecast_next(model, rows, rows.index[origin])
    window = forecast_windows(model, rows, origin + lead, origin + lead + horizon)
    assert following.as_of == rows.index[origin].isoformat()
    for label, values in following.by_member.items():
        # One origin at a time and all at once are other sums of float32.
        np.testing.assert_allclose(values, window[label].point[0], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(following.point, np.mean(list(following.by_member.values()), axis=0), rtol=1e-12)
    # Daily rows: the target of step k is known k - 1 + lead days after the origin.
    days = [rows.index[origin] + pd.Timedelta(days=lead + step) for step in range(horizon)]
    assert following.target_times == tuple(day.isoformat() for day in days)


@pytest.fixture(scope="module")
def quantiles_of_two(tmp_path_factory) -> TrainedModel:
    two = {"target": ["log_return_close", "macd"]}
    levels = {"likelihood": "quantile", "quantiles": (0.1, 0.5, 0.9)}
    return trained_on(tmp_path_factory.mktemp("two"), horizon=3, features=two, **levels)


def test_quantiles_of_several_targets_are_those_of_the_same_origin_in_a_window(quantiles_of_two):
    model = quantiles_of_two
    rows = rows_of(model, make_features())
    following = forecast_next(model, rows, rows.index[330])
    window = {label: each.quantiles[0] for label, each in forecast_windows(model, rows, 331, 334).items()}
    assert (following.targets, following.levels) == (("log_return_close", "macd"), (0.1, 0.5, 0.9))
    mean = np.mean(list(window.values()), axis=0)
    np.testing.assert_allclose(following.quantiles, mean, rtol=1e-4, atol=1e-9)
    np.testing.assert_array_equal(following.point, following.quantiles[..., 1])
    np.testing.assert_allclose(following.by_member["0-43"], window["0-43"][..., 1], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("which", ["next_day", "label_of_four", "quantiles_of_two"])
def test_nothing_behind_the_origin_moves_a_forecast_and_what_is_known_there_does(which, request):
    model = request.getfixturevalue(which)
    frame = make_features()
    label = model.manifest.spec.features.label_horizon
    origin = 350
    now = frame.index[origin]
    changed = frame.copy()
    changed.iloc[origin + 1 :] = np.abs(changed.iloc[origin + 1 :]) * 7 + 1
    # Labels that look behind the origin are not known there.
    changed.iloc[origin + 1 - label :, 0] = 5.0
    before = forecast_next(model, rows_of(model, frame), now)
    assert are_same(forecast_next(model, rows_of(model, changed), now), before)
    changed.iloc[origin, 2] *= 3
    assert not are_same(forecast_next(model, rows_of(model, changed), now), before)


def test_a_window_has_a_forecast_for_every_origin_whose_horizon_fits(next_day):
    rows = rows_of(next_day, make_features())
    forecasts = forecast_windows(next_day, rows, 300, 340)
    shapes = {label: each.quantiles.shape for label, each in forecasts.items()}
    assert shapes == dict.fromkeys(("0-42", "0-43"), (38, 3, 1, 1))
    shifted = forecast_windows(next_day, rows, 310, 340)
    np.testing.assert_allclose(shifted["0-42"].point, forecasts["0-42"].point[10:], rtol=1e-4, atol=1e-9)
    # Columns in another order, and ones that the model never saw, change nothing.
    other = rows[rows.columns[::-1]].assign(more=1.0)
    np.testing.assert_array_equal(forecast_windows(next_day, other, 300, 340)["0-42"].point, forecasts["0-42"].point)


def test_an_origin_before_the_studys_end_is_in_sample(next_day):
    rows = rows_of(next_day, make_features(420))
    assert forecast_next(next_day, rows, rows.index[398]).in_sample
    assert not forecast_next(next_day, rows, rows.index[399]).in_sample
    assert not forecast_next(next_day, rows).in_sample


def test_what_a_model_cannot_forecast_from_is_refused(next_day):
    rows = rows_of(next_day, make_features())
    first = max(rows_before(each.model) for each in next_day.members)
    with pytest.raises(DataError, match="2 are missing: rsi_14, macd"):
        forecast_next(next_day, rows.drop(columns=["macd", "rsi_14"]))
    with pytest.raises(DataError, match=rf"needs {first} rows, and there are {first - 1}"):
        forecast_next(next_day, rows.iloc[: first - 1])
    with pytest.raises(DataError, match="and there are 0 up to 2019"):
        forecast_next(next_day, rows, pd.Timestamp("2019-01-01"))
    with pytest.raises(UsageError, match="same kind as the index, timestamps, not "):
        forecast_next(next_day, rows, 17)
    with pytest.raises(DataError, match=f"needs {first} rows before its first forecast, and there are {first - 1}"):
        forecast_windows(next_day, rows, first - 1, 300)
    for start, stop in ((300, 302), (390, 401)):
        with pytest.raises(DataError, match="must hold at least one horizon of 3 rows"):
            forecast_windows(next_day, rows, start, stop)


EVENTS = {
    "target_transform": "log",
    "target": "volume",
    "means": {"target": [5, 22]},
    "calendar": ["weekday"],
    "known_future": ["event"],
}


def with_events(n_rows: int = 400) -> pd.DataFrame:
    frame = make_features(n_rows)
    event = np.random.default_rng(4).integers(0, 2, n_rows).astype(float)
    return frame.assign(event=event, volume=frame["volume"] * np.exp(event))


@pytest.fixture(scope="module", params=["gru", "ridge", "tide"])
def of_events(request, tmp_path_factory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("events")
    return trained_on(folder, frame=with_events(), model_name=request.param, horizon=3, features=EVENTS)


def test_a_forecast_reads_what_is_known_of_its_rows_and_is_that_of_the_same_origin_in_a_window(of_events):
    frame = with_events()
    rows = rows_of(of_events, frame)
    following = forecast_next(of_events, rows, rows.index[330], later=frame)
    window = Forecast.mean_of(forecast_windows(of_events, rows, 331, 334).values())
    # A study that minimises the root mean squared error forecasts means.
    np.testing.assert_allclose(following.point, window.mean[0], rtol=1e-4)
    np.testing.assert_allclose(following.quantiles[..., 0], window.point[0], rtol=1e-4)
    assert (following.point > following.quantiles[..., 0]).all()
    other = frame.copy()
    other.iloc[[331, 333], other.columns.get_loc("event")] = 1 - frame["event"].iloc[[331, 333]]
    moved = forecast_next(of_events, rows, rows.index[330], later=other)
    assert not are_same(moved, following)
    # Rows that are not forecast are not read, and of the others nothing but what is known ahead.
    other = frame.copy()
    other.iloc[334:] = 7.0
    other.iloc[331:, : other.columns.get_loc("event")] = np.nan
    assert are_same(forecast_next(of_events, rows, rows.index[330], later=other), following)


def test_the_next_forecast_needs_what_is_known_of_its_rows(of_events):
    frame = with_events()
    rows = rows_of(of_events, frame)
    days = pd.date_range(rows.index[-1], periods=4, freq="D", name="timestamp")[1:]
    longer = pd.concat([frame, pd.DataFrame({"event": [1.0, 0.0, 1.0]}, index=days)])
    assert len(forecast_next(of_events, rows, later=longer).point) == 3
    with pytest.raises(DataError, match="event has none for 2021-02-06") as refused:
        forecast_next(of_events, rows, later=longer.iloc[:-1])
    assert refused.value.remedy.endswith("their other columns may be empty")


def test_means_over_many_rows_need_as_many_rows(of_events):
    rows = rows_of(of_events, with_events())
    needed = max(rows_before(each.model) for each in of_events.members) + 21
    with pytest.raises(DataError, match=rf"needs {needed} rows, and there are {needed - 1}"):
        forecast_next(of_events, rows.iloc[-needed + 1 :])


def test_a_forecast_is_for_the_next_sessions_of_the_studys_market(tmp_path):
    # The last row is of Friday, 2021-07-02; Independence Day is a Sunday, and Monday its day off.
    days = pd.bdate_range(end="2021-07-02", periods=400, name="timestamp", unit="ns")
    frame = make_features().set_axis(days)
    for market, expected in {"NYSE": "2021-07-06", "XLON": "2021-07-05"}.items():
        model = trained_on(tmp_path / market, frame, horizon=1, data={"market": market})
        rows = rows_of(model, frame)
        assert forecast_next(model, rows).target_times == (f"{expected}T00:00:00",)


def test_the_exchange_of_the_calendar_is_that_of_the_rows_unless_they_have_rows_on_its_holidays(tmp_path):
    # Friday before Independence Day of 2021, whose day off is Monday; rows of London have it.
    days = pd.bdate_range(end="2021-07-02", periods=400, name="timestamp", unit="ns")
    sessions = days[~Market.of("NYSE").is_holiday(days)]
    for index, expected in ((sessions, "2021-07-06"), (days, "2021-07-05")):
        frame = make_features(len(index)).set_axis(index)
        model = trained_on(tmp_path / expected, frame, model_name="ridge", features={"calendar": ["holiday:NYSE"]})
        assert forecast_next(model, rows_of(model, frame)).target_times == (f"{expected}T00:00:00",)
