"""What a training loop of our own saves of a fit, model by model: `python -m benchmarks.lean_fits [MODEL ...]`.

Each model is fitted on 3,000 hours of ETTh1 with its defaults for 5 epochs: by Lightning as Darts uses it, by Lightning
with batches that are taken at once as in Kallos, and by Kallos; in turn, `REPEATS` times each, on one thread. The
figures are medians of the process's CPU seconds, and of the ratios of each turn.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytorch_lightning as pl
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from darts.utils.data.torch_datasets.training_dataset import TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch
from pytorch_lightning.callbacks import EarlyStopping
from rich.console import Console
from rich.table import Table
from torch import tensor

from benchmarks.studies import DATA
from kallos.architectures import registry
from kallos.planning import plan_study
from kallos.scoring.fold import fit_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.loop import Trained
from kallos.scoring.samples import samples_of
from kallos.specs.study import TuneSpec

REPEATS = 5


class Lightning(pl.Trainer):
    """Lightning's trainer in the place of `kallos.scoring.loop.NetworkTrainer`; it keeps no best weights."""

    def __init__(self, model: TorchForecastingModel, patience: int, *, at_once: bool) -> None:
        super().__init__(
            accelerator="cpu",
            callbacks=[EarlyStopping("val_loss", patience=patience)],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            max_epochs=model.n_epochs,
            num_sanity_val_steps=0,
        )
        self._at_once = at_once

    @property
    def trained(self) -> Trained:
        """How many epochs were trained."""
        return Trained(self.current_epoch)

    def fit(self, model: Any, datamodule: Any, ckpt_path: str | None = None) -> None:  # type: ignore[override]
        """Train a module."""
        if self._at_once:
            datamodule.train_dataset = AtOnce(datamodule.train_dataset)
            datamodule.val_dataset = AtOnce(datamodule.val_dataset)
            datamodule.dataloader_kwargs["collate_fn"] = lambda batch: batch
        super().fit(model, datamodule=datamodule)


class AtOnce:
    """A Darts data set, as a torch data set whose batches are taken at once."""

    def __init__(self, dataset: TorchTrainingDataset) -> None:
        self._samples = samples_of(dataset)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitems__(self, places: list[int]) -> TorchTrainingBatch:
        """Return a batch, by torch's protocol for data sets."""
        return self._samples.batch(tensor(places))


def by_lightning(*, at_once: bool) -> AbstractContextManager[object]:
    """Let Lightning train networks in the block."""
    return patch("kallos.scoring.training.NetworkTrainer", partial(Lightning, at_once=at_once))


def job_of(model: str, rows: pd.DataFrame, folder: str, epochs: int = 5) -> FoldJob:
    """Return the job of a model's defaults on the rows before the last seventh."""
    spec = TuneSpec.model_validate(
        {
            "model_name": model,
            "data": {"asset_id": "ETTh1"},
            "features": {"target": "OT"},
            "folds": {"n_folds": 1, "window": len(rows) // 7},
            "training": {"max_epochs": epochs, "patience": epochs},
            "horizon": 24,
        }
    )
    plan = plan_study(rows.reset_index(drop=True), spec, folder)
    return plan.trial_jobs(0, plan.space.defaults(model))[0]


def seconds(job: FoldJob, way: AbstractContextManager[object]) -> float:
    """Return the CPU seconds of a fit."""
    with way:
        started = time.process_time()
        fit_fold(job)
        return time.process_time() - started


def in_turn(job: FoldJob, repeats: int) -> tuple[list[float], list[float], list[float]]:
    """Return the CPU seconds of each fit by Lightning, by Lightning with batches at once, and by Kallos."""
    seconds(job, nullcontext())  # Imports, and the prepared series.
    ways = (partial(by_lightning, at_once=False), partial(by_lightning, at_once=True), nullcontext)
    turns = [[seconds(job, way()) for way in ways] for _ in range(repeats)]
    darts, at_once, kallos = zip(*turns, strict=True)
    return list(darts), list(at_once), list(kallos)


def ratio(ours: Sequence[float], other: Sequence[float]) -> str:
    """Return the median ratio of the turns, with the lowest and the highest."""
    each = [theirs / own for own, theirs in zip(ours, other, strict=True)]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def table_of(models: Sequence[str], rows: pd.DataFrame, *, repeats: int = REPEATS, epochs: int = 5) -> Table:
    """Return a row per model."""
    table = Table("model", "Lightning, s", "batches at once, s", "Kallos, s", "times as fast", "by the loop alone")
    with tempfile.TemporaryDirectory(prefix="kallos-lean-") as folder:
        for model in models:
            darts, at_once, kallos = in_turn(job_of(model, rows, folder, epochs), repeats)
            figures = (f"{median(each):.2f}" for each in (darts, at_once, kallos))
            table.add_row(model, *figures, ratio(kallos, darts), ratio(kallos, at_once))
    return table


def main() -> None:
    models = sys.argv[1:] or [name for name, each in registry().items() if each.stops_early]
    rows = pd.read_csv(DATA / "ETTh1.csv.gz", index_col="date", parse_dates=True).iloc[-3500:]
    Console(width=100).print(table_of(models, rows))


if __name__ == "__main__":
    main()
