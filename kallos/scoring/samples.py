"""The samples that a network is trained on, taken by their places as whole batches.

Darts cuts each sample by itself, in each epoch anew. Here all rows of the series stand in one table for each kind of
column, and a batch is taken from views of them, which need no memory.

Importing this module imports torch and Darts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from darts import TimeSeries
from darts.utils.data.torch_datasets.training_dataset import (
    SequentialTorchTrainingDataset,
    ShiftedTorchTrainingDataset,
    TorchTrainingDataset,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch, _batch_collate_fn_train


class Samples(Protocol):
    """The samples of a Darts data set, in its order."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def batch(self, places: torch.Tensor) -> TorchTrainingBatch:
        """Return the samples at these places."""


def samples_of(dataset: TorchTrainingDataset) -> Samples:
    """Return the samples of a Darts data set: windows, unless it may cut them otherwise."""
    return Windows.of(dataset) if _cuts_windows(dataset) else _OneByOne(dataset)


@dataclass(frozen=True, eq=False)
class Windows:
    """Samples that are consecutive rows: each `views[name][start]` is a sample's part, of shape (rows, columns).

    `starts`, of shape (samples,), has the first row of each sample in the table of all series.
    """

    starts: torch.Tensor
    views: dict[str, torch.Tensor]

    @classmethod
    def of(cls, dataset: ShiftedTorchTrainingDataset) -> Self:
        """Return the samples of several series, in the order of Darts: from the last to the first of each series.

        A series that has fewer samples than the longest one has them several times.
        """
        n_past, ahead, n_future = dataset.input_chunk_length, dataset.shift, dataset.output_chunk_length
        lengths = np.array([len(each) for each in dataset.series])
        firsts = np.cumsum(lengths) - lengths
        from_last = np.arange(dataset.max_samples_per_ts)
        per_series = [
            first + n_samples - 1 - from_last % n_samples
            for first, n_samples in zip(firsts, lengths - ahead - n_future + 1, strict=True)
        ]

        def views(series: Sequence[TimeSeries] | None, **windows: tuple[int, int]) -> dict[str, torch.Tensor]:
            if series is None:
                return {}
            rows = zip(series, lengths, strict=True)
            table = np.concatenate([each.random_component_values(copy=False)[:length] for each, length in rows])
            return {
                name: torch.from_numpy(table[offset:]).unfold(0, length, 1).transpose(1, 2)
                for name, (offset, length) in windows.items()
            }

        past, future = (0, n_past), (ahead, n_future)
        return cls(
            torch.from_numpy(np.concatenate(per_series)),
            {
                **views(dataset.series, past_target=past, future_target=future),
                **views(dataset.past_covariates, past_covariates=past),
                **views(dataset.future_covariates, historic_future_covariates=past, future_covariates=future),
                **views(dataset.sample_weight, sample_weight=future),
            },
        )

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, places: torch.Tensor) -> TorchTrainingBatch:
        """Return the samples at these places."""
        rows = self.starts[places]
        return TorchTrainingBatch(**{name: view.index_select(0, rows) for name, view in self.views.items()})


@dataclass(frozen=True, eq=False)
class _OneByOne:
    """Samples that only the data set itself can cut."""

    dataset: TorchTrainingDataset

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, places: torch.Tensor) -> TorchTrainingBatch:
        return _batch_collate_fn_train([self.dataset[place] for place in places.tolist()])


def _cuts_windows(dataset: TorchTrainingDataset) -> bool:
    """Return whether samples are windows of series that all begin with their target, each of the longest length."""
    if type(dataset) not in (SequentialTorchTrainingDataset, ShiftedTorchTrainingDataset):
        return False
    if dataset.uses_static_covariates_covariates or dataset.stride > 1:
        return False
    others = (dataset.past_covariates, dataset.future_covariates, dataset.sample_weight)
    return (
        dataset.min_input_chunk_length == dataset.input_chunk_length <= dataset.shift + dataset.output_chunk_length
        and min(len(each) for each in dataset.series) >= dataset.size_of_both_chunks
        and all(_is_beside(*pair) for each in others if each for pair in zip(each, dataset.series, strict=True))
    )


def _is_beside(series: TimeSeries, target: TimeSeries) -> bool:
    """Return whether each row of the target is the same row of the series."""
    same_rows = series.start_time() == target.start_time() and series.freq == target.freq
    return bool(same_rows and len(series) >= len(target))
