"""The stationary bootstrap of several folds, each resampled for itself; imports arch."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from arch.bootstrap import StationaryBootstrap


class WithinFolds(StationaryBootstrap):
    """The bootstrap of Politis & Romano (1994) of each fold, with blocks that never cross into another fold.

    `data` has the rows of all folds, one fold after the other, and `lengths` the number of rows of each.
    """

    def __init__(
        self, block_size: int, *data: npt.NDArray[Any], lengths: Sequence[int], seed: int | np.random.Generator | None
    ) -> None:
        generator = np.random.default_rng(seed)
        super().__init__(block_size, *data, seed=generator)
        self._lengths = tuple(lengths)
        self._folds = [StationaryBootstrap(block_size, np.arange(length), seed=generator) for length in lengths]

    def update_indices(self) -> npt.NDArray[np.int64]:
        """Return the positions of the rows of one resample."""
        starts = np.cumsum([0, *self._lengths[:-1]])
        drawn = [start + fold.update_indices() for start, fold in zip(starts, self._folds, strict=True)]
        return np.concatenate(drawn)

    def clone(self, *data: npt.NDArray[Any], seed: Any = None, **_: Any) -> "WithinFolds":
        """Return the same bootstrap of other data."""
        return type(self)(self.block_size, *data, lengths=self._lengths, seed=seed)


class MeansWithinFolds(WithinFolds):
    """The same bootstrap, whose resamples are their means, each as one row: all that tests of means look at."""

    def bootstrap(self, reps: int) -> Generator[tuple[tuple[npt.NDArray[Any], ...], dict[str, Any]], None, None]:
        """Yield the mean rows of so many resamples, without copying the rows."""
        (rows,) = self.pos_data
        for _ in range(reps):
            times = np.bincount(self.update_indices(), minlength=len(rows))
            yield ((times @ rows / len(rows))[None],), {}
