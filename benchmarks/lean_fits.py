"""What a training loop of our own saves of a fit, model by model: `python -m benchmarks.lean_fits [MODEL ...]`.

Each model is fitted on 3,000 hours of ETTh1 with its defaults for 5 epochs: by Lightning as Darts uses it, with torch's
GRU; by Lightning with batches that are taken at once, and the GRU in compiled loops, as in Kallos; and by Kallos. They
take turns, `REPEATS` each, on one thread. The figures are medians of the process's CPU seconds, and of the ratios of
each turn. `python -m benchmarks fits` keeps the ratios of all models in `results.json`.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
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

from benchmarks.bench import Bench
from benchmarks.studies import DATA
from kallos.architectures import registry
from kallos.planning import plan_study
from kallos.scoring.fold import fit_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.loop import Trained
from kallos.scoring.samples import samples_of
from kallos.specs.study import TuneSpec

REPEATS = 5
# How many times as fast a fit is to be as with Lightning.
TARGETS = {
    "gru": 2.4,
    "lstm": 1.7,
    "nlinear": 3.5,
    "dlinear": 2.2,
    "tide": 1.7,
    "nbeats": 1.8,
    "nhits": 1.6,
    "tsmixer": 1.25,
    "tcn": 1.45,
    "rnn": 1.8,
    "transformer": 1.05,
    "tft": 1.0,
}


@dataclass(frozen=True)
class Turns:
    """The CPU seconds of each fit of a model by Lightning, by Lightning with batches at once, and by Kallos."""

    model: str
    darts: tuple[float, ...]
    at_once: tuple[float, ...]
    kallos: tuple[float, ...]


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


@contextmanager
def by_lightning(*, plainly: bool) -> Iterator[None]:
    """Let Lightning train networks in the block.

    Plainly, it has what a user of Darts has: batches that are put together one sample at a time, and torch's GRU.
    """
    with ExitStack() as stack:
        stack.enter_context(patch("kallos.scoring.loop.NetworkTrainer", partial(Lightning, at_once=not plainly)))
        if plainly:
            stack.enter_context(patch("kallos.architectures.gru.module.GRUModule", "GRU"))
        yield


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


def in_turn(model: str, rows: pd.DataFrame, repeats: int = REPEATS, epochs: int = 5) -> Turns:
    """Fit a model's defaults so many times in each way."""
    ways = (partial(by_lightning, plainly=True), partial(by_lightning, plainly=False), nullcontext)
    with tempfile.TemporaryDirectory(prefix="kallos-lean-") as folder:
        job = job_of(model, rows, folder, epochs)
        seconds(job, nullcontext())  # Imports, and the prepared series.
        turns = [[seconds(job, way()) for way in ways] for _ in range(repeats)]
    return Turns(model, *zip(*turns, strict=True))


def ratios(ours: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return how many times as long the other took in each turn."""
    return [theirs / own for own, theirs in zip(ours, other, strict=True)]


def table_of(measured: Sequence[Turns]) -> Table:
    """Return a row per model."""
    table = Table("model", "Lightning, s", "batches at once, s", "Kallos, s", "times as fast", "by the loop alone")
    for turns in measured:
        figures = (f"{median(each):.2f}" for each in (turns.darts, turns.at_once, turns.kallos))
        spread = (_spread(ratios(turns.kallos, other)) for other in (turns.darts, turns.at_once))
        table.add_row(turns.model, *figures, *spread)
    return table


def _spread(each: Sequence[float]) -> str:
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def every_model(
    bench: Bench, rows: pd.DataFrame | None = None, models: Sequence[str] = tuple(TARGETS), epochs: int = 5
) -> None:
    """CPU seconds of a fit by Lightning over those of Kallos, model by model."""
    measured = rows if rows is not None else hours()
    for model in models:
        turns = in_turn(model, measured, bench.repeats, epochs)
        each = ratios(turns.kallos, turns.darts)
        bench.note(
            f"one fit, Darts with Lightning / kallos: {model}",
            median(each),
            at_least=TARGETS[model],
            ratios=each,
            lightning_seconds=median(turns.darts),
            kallos_seconds=median(turns.kallos),
            by_the_loop_alone=median(ratios(turns.kallos, turns.at_once)),
        )


def hours() -> pd.DataFrame:
    """Return the last rows of ETTh1: 3,000 to train on, and a window."""
    return pd.read_csv(DATA / "ETTh1.csv.gz", index_col="date", parse_dates=True).iloc[-3500:]


def main() -> None:
    models = sys.argv[1:] or [name for name, each in registry().items() if each.stops_early]
    rows = hours()
    Console(width=100).print(table_of([in_turn(model, rows) for model in models]))


if __name__ == "__main__":
    main()
