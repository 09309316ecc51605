"""Samples that are taken at once are those of Darts, and fitted models can be saved."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.utils.data.torch_datasets.training_dataset import SequentialTorchTrainingDataset, ShiftedTorchTrainingDataset
from darts.utils.data.torch_datasets.utils import _batch_collate_fn_train

from kallos.scoring.fold import fit_fold
from kallos.scoring.samples import Windows, samples_of
from tests.samples import small_job

ROOT = Path(__file__).parents[3]


def series(n_rows, width=1, start=0):
    """Return random numbers whose rows begin at a number."""
    values = np.random.default_rng(n_rows + width).normal(size=(n_rows, width)).astype(np.float32)
    return TimeSeries.from_values(values).shift(start)


def assert_same_batches(dataset):
    """Samples in an order of their own are those that Darts cuts one by one."""
    samples, places = samples_of(dataset), torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    assert len(samples) == len(dataset)
    expected = _batch_collate_fn_train([dataset[place] for place in places.tolist()])
    for field in fields(expected):
        of_darts = getattr(expected, field.name)
        np.testing.assert_array_equal(getattr(samples.batch(places), field.name), of_darts, err_msg=field.name)


def test_samples_of_windows_that_overlap_are_those_of_darts():
    dataset = ShiftedTorchTrainingDataset(
        series(30), series(30, 2), output_chunk_length=4, input_chunk_length=4, shift=2
    )
    assert isinstance(samples_of(dataset), Windows)
    assert_same_batches(dataset)


CHUNKS = {"input_chunk_length": 4, "output_chunk_length": 2}


@pytest.mark.parametrize(
    "kinds",
    [
        {"series": series(30)},
        {"series": series(30, 2), "past_covariates": series(30, 3), "output_chunk_shift": 3},
        {"series": series(30), "past_covariates": series(33), "future_covariates": series(40, 2)},
        {"series": series(30), "sample_weight": series(30)},
        {"series": [series(30), series(11), series(17)], "future_covariates": [series(35), series(11), series(18)]},
        {"series": [series(30), series(11)], "sample_weight": [series(30), series(11)]},
    ],
)
def test_samples_that_are_taken_at_once_are_those_of_darts(kinds):
    dataset = SequentialTorchTrainingDataset(**kinds, **CHUNKS)
    assert isinstance(samples_of(dataset), Windows)
    assert_same_batches(dataset)


@pytest.mark.parametrize(
    "kinds",
    [
        {"series": series(30), "past_covariates": series(40, 2, start=-5)},
        {"series": series(30), "stride": 2},
        {"series": series(30), "input_chunk_length": (2, 4)},
        {"series": series(30).with_static_covariates(series(1).to_dataframe())},
    ],
)
def test_samples_of_other_kinds_are_those_of_darts_too(kinds):
    assert_same_batches(SequentialTorchTrainingDataset(**{**CHUNKS, **kinds}))


def test_a_fitted_model_can_be_saved_and_loaded_in_another_process(tmp_path):
    fitted = fit_fold(small_job(tmp_path))
    assert fitted.model.epochs_trained == fitted.epochs
    fitted.model.save(str(tmp_path / "model.pt"))
    known = {"series": fitted.series[0].target, "past_covariates": fitted.series[0].past_covariates}
    torch.save(known, tmp_path / "known.pt")
    code = (
        "import torch\nfrom darts.models import BlockRNNModel\n"
        "known = torch.load('known.pt', weights_only=False)\n"
        "model = BlockRNNModel.load('model.pt', trusted=True)\n"
        "torch.save(model.predict(1, **known, verbose=False).values(), 'forecast.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    forecast = torch.load(tmp_path / "forecast.pt", weights_only=False)
    np.testing.assert_array_equal(forecast, fitted.model.predict(1, **known, verbose=False).values())


OWN = """
import sys
from pathlib import Path
from kallos.architectures import Architecture
from kallos.architectures.space import Int


def build(params, context):
    import torch
    from darts.models import NLinearModel

    print(torch.get_num_threads())
    return NLinearModel(params["input_chunk_length"], context.horizon, n_epochs=1)


SPACE, DEFAULTS = {"input_chunk_length": Int(low=1, high=5)}, {"input_chunk_length": 3}
MINE = Architecture("mine", SPACE, DEFAULTS, build, stops_early=False)

if __name__ == "__main__":
    from kallos.scoring.fold import evaluate_fold
    from tests.samples import small_job

    evaluate_fold(small_job(Path(sys.argv[1]), model_name="own_network:MINE"))
"""


def test_a_network_of_ones_own_that_does_not_stop_early_has_one_thread_too(tmp_path):
    (tmp_path / "own_network.py").write_text(OWN)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "own_network.py", str(tmp_path)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"1"}
