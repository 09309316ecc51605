"""A network's forecasts from every origin are those of Darts, bit for bit."""

import numpy as np
import pytest
from darts import TimeSeries
from darts.models import NLinearModel
from darts.models.forecasting.nlinear import _NLinearModule

from kallos.architectures import create_model, registry
from kallos.architectures.recipe import Widths
from kallos.scoring.inputs import Inputs
from kallos.scoring.loop import NetworkTrainer
from kallos.scoring.network_forecasts import forecasts_of_windows
from kallos.scoring.training import quiet_single_thread

NETWORKS = [name for name, each in registry().items() if each.stops_early]
HORIZON, LEAD, LOOK_BACK = 3, 4, 8


def noise(width, n_rows=90):
    """Return a series of random numbers."""
    return TimeSeries.from_values(np.random.default_rng(width).normal(size=(n_rows, width)).astype(np.float32))


@pytest.mark.parametrize("quantiles", [None, (0.1, 0.5, 0.9)])
@pytest.mark.parametrize("name", NETWORKS)
def test_forecasts_are_those_of_darts(name, quantiles):
    widths = Widths(targets=2, covariates=3, known=1)
    model = create_model(
        name,
        {"input_chunk_length": LOOK_BACK, **({"normalize": False} if name == "nlinear" else {})},
        horizon=HORIZON,
        lead=LEAD,
        max_epochs=1,
        widths=widths,
        quantiles=quantiles,
    )
    future = noise(1, 100) if model.supports_future_covariates else None
    inputs = Inputs(noise(2), noise(3), future)
    known = {"past_covariates": inputs.past, "future_covariates": inputs.future}
    with quiet_single_thread():
        model.fit(inputs.target, **known, trainer=NetworkTrainer(model))
        ours = forecasts_of_windows(model, inputs, quantiles=quantiles is not None)
        darts = model.historical_forecasts(
            inputs.target,
            **known,
            start=LOOK_BACK,
            forecast_horizon=HORIZON,
            retrain=False,
            last_points_only=False,
            predict_likelihood_parameters=quantiles is not None,
        )
    assert ours.shape == (90 - LOOK_BACK - LEAD + 1 - HORIZON + 1, HORIZON, 2 * len(quantiles or (0.5,)))
    np.testing.assert_array_equal(ours, np.stack([each.values() for each in darts]))


class OtherInputs(NLinearModel):
    """A model that has inputs of its own."""

    def _build_inference_dataset(self, *args, **kwargs):
        return super()._build_inference_dataset(*args, **kwargs)


def test_a_network_with_inputs_of_its_own_is_left_to_darts():
    model = OtherInputs(4, 1, n_epochs=1)
    with quiet_single_thread():
        model.fit(noise(1), trainer=NetworkTrainer(model))
    assert forecasts_of_windows(model, Inputs(noise(1), None, None), quantiles=False) is None


class Shifted(_NLinearModule):
    """A module that forecasts a thousand more while it is asked for forecasts."""

    def on_predict_start(self):
        self.layer.bias.data += 1000.0

    def on_predict_end(self):
        self.layer.bias.data -= 1000.0


class ShiftedModel(NLinearModel):
    """A model of such a module."""

    def _create_model(self, train_sample):
        own = super()._create_model(train_sample)
        own.__class__ = Shifted
        return own


def test_what_a_module_does_around_forecasts_is_done():
    model = ShiftedModel(4, 1, n_epochs=1)
    with quiet_single_thread():
        model.fit(noise(1), trainer=NetworkTrainer(model))
        ours = forecasts_of_windows(model, Inputs(noise(1), None, None), quantiles=False)
    assert np.abs(ours - 1000).max() < 10
