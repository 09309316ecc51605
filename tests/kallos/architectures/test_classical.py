"""Exponential smoothing, theta and ARIMA, against statsforecast's own forecasts of the same windows."""

import numpy as np
import pytest
from darts import TimeSeries
from safetensors.numpy import load, save
from scipy.optimize import minimize_scalar

from kallos.architectures import Widths, create_model
from kallos.errors import DataError, UsageError
from kallos.scoring.training import quiet_single_thread
from kallos.scoring.weights import restore_weights, weights_bytes
from kallos.specs.study import parse_tune_spec

models = pytest.importorskip("statsforecast.models")

ROWS, WINDOW, HORIZON = 300, 60, 3
WIDTHS = Widths(targets=2, covariates=1, known=1)


def level_with_noise(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=ROWS).cumsum() / 10 + rng.normal(size=ROWS) / 3


TARGETS = np.stack([level_with_noise(0), level_with_noise(1)], axis=1).astype(np.float32)
OTHERS = np.random.default_rng(2).normal(size=(ROWS + 10, 1)).astype(np.float32)

FAMILIES = [
    ("ets", {"trend": "none"}, lambda: models.AutoETS(model="ANN", damped=False)),
    ("ets", {"trend": "additive"}, lambda: models.AutoETS(model="AAN", damped=False)),
    ("ets", {"trend": "damped"}, lambda: models.AutoETS(model="AAN", damped=True)),
    ("theta", {"variant": "STM"}, lambda: models.AutoTheta(season_length=1, model="STM")),
    ("theta", {"variant": "DOTM"}, lambda: models.AutoTheta(season_length=1, model="DOTM")),
    ("arima", {"p": 2, "d": 0, "q": 1}, lambda: models.ARIMA(order=(2, 0, 1))),
    ("arima", {"p": 0, "d": 1, "q": 1}, lambda: models.ARIMA(order=(0, 1, 1))),
    ("arima", {"p": 0, "d": 1, "q": 0}, lambda: models.ARIMA(order=(0, 1, 0))),
]


def own_forecast(model, window, steps):
    """Return statsforecast's forecast; a smoothing begins with its last slope and the best level, found by trial."""
    if isinstance(model, models.AutoETS):
        alpha, beta, _, phi = np.nan_to_num(model.model_["par"][:4], nan=1.0)
        slopes = model.model_["states"][-1][1:]

        def squares(level):
            total, slope = 0.0, sum(slopes)
            for value in window:
                expected = level + phi * slope
                error = value - expected
                level, slope, total = (
                    expected + alpha * error,
                    phi * slope + beta * error * len(slopes),
                    total + error**2,
                )
            return total

        best = minimize_scalar(squares, bounds=(-9, 9), options={"xatol": 1e-9}).x
        model.model_["par"] = np.array([*model.model_["par"][:4], best, *slopes])
    return model.forward(y=window, h=steps)["mean"]


def columns(values=TARGETS):
    return {
        "series": TimeSeries.from_values(values),
        "past_covariates": TimeSeries.from_values(OTHERS[: len(values)]),
        "future_covariates": TimeSeries.from_values(OTHERS),
    }


def created(name, params, lead=1):
    return create_model(name, {"input_chunk_length": WINDOW, **params}, horizon=HORIZON, lead=lead, widths=WIDTHS)


@pytest.mark.parametrize("lead", [1, 3])
@pytest.mark.parametrize(("name", "params", "make"), FAMILIES)
def test_forecasts_are_those_of_the_model_of_the_whole_series_rolled_over_the_window(name, params, make, lead):
    model = created(name, params, lead)
    with quiet_single_thread():
        model.fit(**columns(TARGETS[:250]))
        forecasts = model.historical_forecasts(
            **columns(), start=250, forecast_horizon=HORIZON, retrain=False, last_points_only=False
        )
        for place in (0, 20):
            origin = 250 + place - 1
            window = TARGETS[origin + 1 - WINDOW : origin + 1].astype(float)
            # Darts' `start` is the row behind the first origin, whatever the lead.
            own = [make().fit(TARGETS[:250, target].astype(float)) for target in range(2)]
            expected = [own_forecast(own[i], window[:, i], lead - 1 + HORIZON)[lead - 1 :] for i in range(2)]
            assert np.allclose(forecasts[place].values(), np.transpose(expected), atol=1e-5)


def test_a_trend_goes_on_from_the_window():
    # A line with hardly any noise, whose slope the smoothing has no reason to adapt.
    line = np.linspace(0, 30, ROWS, dtype=np.float32)[:, None] + level_with_noise(3)[:, None].astype(np.float32) / 100
    model = create_model("ets", {"trend": "additive", "input_chunk_length": 40}, horizon=HORIZON, widths=Widths())
    with quiet_single_thread():
        model.fit(TimeSeries.from_values(line[:250]))
        forecast = model.predict(HORIZON, TimeSeries.from_values(line[:290]), verbose=False).values()
    assert forecast[:, 0] == pytest.approx(line[290 : 290 + HORIZON, 0], abs=0.1)


@pytest.mark.parametrize(("name", "params", "make"), FAMILIES)
def test_a_constant_series_is_forecast_by_its_value(name, params, make):
    constant = np.zeros_like(TARGETS)
    model = created(name, params)
    with quiet_single_thread():
        model.fit(**columns(constant))
        forecast = model.predict(HORIZON, **columns(constant), verbose=False).values()
    assert forecast == pytest.approx(np.zeros((HORIZON, 2)))


@pytest.mark.parametrize(
    ("name", "params", "text", "other"),
    [
        ("ets", {}, b'"ANNN"', b'"AAAN"'),
        ("ets", {}, b'"par": [', b'"par": [1, '),
        ("theta", {}, b'"OTM"', b'"STM"'),
        ("arima", {}, b'"ma1"', b'"ma2"'),
        ("arima", {}, b'"sigma2"', b'"sigma3"'),
        ("arima", {}, b"{", b"("),
    ],
)
def test_a_document_that_no_such_model_writes_is_refused_in_one_line(name, params, text, other):
    model = created(name, params)
    with quiet_single_thread():
        model.fit(**columns())
        weights = load(weights_bytes(model))
        spoilt = {
            key: np.frombuffer(value.tobytes().replace(text, other, 1), np.uint8) for key, value in weights.items()
        }
        assert any(spoilt[key].tobytes() != value.tobytes() for key, value in weights.items())
        with pytest.raises(DataError, match="a file must hold the weights of this architecture") as refused:
            restore_weights(created(name, params), save(spoilt), WIDTHS, "a file")
    assert "\n" not in str(refused.value)


def test_several_assets_are_refused_in_one_line():
    with pytest.raises(UsageError, match="theta forecasts each series alone: name a single asset, or other models"):
        parse_tune_spec({"model_name": "ridge,theta", "data": {"asset_id": ["BTC", "ETH"]}})


def test_quantiles_are_refused_in_one_line():
    with pytest.raises(UsageError, match="likelihood 'quantile' needs an architecture that learns quantiles, and ets"):
        create_model("ets", quantiles=(0.1, 0.5, 0.9))
