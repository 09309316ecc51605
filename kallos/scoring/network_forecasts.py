"""A network's forecasts from every origin, as Darts' `historical_forecasts` makes them, without a series for each.

Importing this module imports torch and Darts.
"""

import numpy as np
import numpy.typing as npt
import torch
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from darts.utils.data.torch_datasets.training_dataset import SequentialTorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchInferenceBatch, TorchTrainingBatch

from kallos.scoring.inputs import Inputs
from kallos.scoring.loop import overrides, predictions
from kallos.scoring.samples import Windows, samples_of

Array = npt.NDArray[np.float64]

# The method by which a model may have other inputs.
_INPUTS = "_build_inference_dataset"


def forecasts_of_windows(model: TorchForecastingModel, inputs: Inputs, *, quantiles: bool) -> Array | None:
    """Return the forecast of each window of the inputs' rows, of shape (windows, steps, components), first to last.

    A window has the rows of an input and of what is forecast from it. With `quantiles`, the components are those of a
    likelihood. The result is None if the network's inputs are no such windows.
    """
    if overrides(type(model), TorchForecastingModel, _INPUTS):
        return None
    samples = samples_of(
        SequentialTorchTrainingDataset(
            inputs.target,
            inputs.past,
            inputs.future,
            input_chunk_length=(model.min_input_chunk_length, model.input_chunk_length),
            output_chunk_length=model.output_chunk_length,
            output_chunk_shift=model.output_chunk_shift,
            use_static_covariates=model.uses_static_covariates,
        )
    )
    if not isinstance(samples, Windows):
        return None
    module = model.model
    module.set_predict_parameters(
        n=model.output_chunk_length,
        num_samples=1,
        roll_size=model.output_chunk_length,
        batch_size=model.batch_size,
        predict_likelihood_parameters=quantiles,
        mc_dropout=False,
    )
    first_to_last = torch.arange(len(samples)).flip(0)
    batches = (_without_future(samples.batch(places)) for places in torch.split(first_to_last, model.batch_size))
    values: Array = torch.cat([batch[0][0] for batch in predictions(module, batches)]).numpy()
    return values


def _without_future(batch: TorchTrainingBatch) -> TorchInferenceBatch:
    return TorchInferenceBatch(
        past_target=batch.past_target,
        past_covariates=batch.past_covariates,
        historic_future_covariates=batch.historic_future_covariates,
        future_covariates=batch.future_covariates,
    )
