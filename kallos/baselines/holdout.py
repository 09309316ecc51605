"""The rows that judge a model: seen by no study, forecast from every origin whose horizon lies in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency
from kallos.folds.grid import Fold
from kallos.scoring.targets import error_unit
from kallos.specs.data import FeatureSpec

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Holdout:
    """Rows `start` to `stop` (exclusive) of a frame, which are scored, and all rows before them, which are known.

    `frame` is one of `kallos.folds.columns.study_frame`, the target stamped when it is known, and ends with the last
    scored row. `lead` is the number of rows from an origin, the last row that is known, to the first one that is
    forecast from it: 1, or the label's horizon. `levels` are those of the model's quantiles, None of points. Raises
    `DataError` if no horizon fits, or no origin has a row.
    """

    frame: pd.DataFrame
    start: int
    stop: int
    target: str | tuple[str, ...]
    horizon: int
    lead: int
    frequency: Frequency
    levels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what has no forecast."""
        rows = self.stop - self.start
        if rows < self.horizon:
            raise DataError(
                f"a hold-out must hold one whole horizon: it has {rows} rows, and the horizon is {self.horizon}; "
                f"choose a later `test_end_date`"
            )
        if not self.lead <= self.start or self.stop > len(self.frame):
            raise DataError(
                f"a hold-out must begin {self.lead} rows or more behind the first row and end within the "
                f"{len(self.frame)} rows: not from {self.start} to {self.stop}; bring earlier rows"
            )

    @cached_property
    def observed(self) -> Array:
        """The target in all rows up to the last scored one, in its own units; several are along a second axis."""
        # A tuple would be one column's name.
        columns = self.target if isinstance(self.target, str) else list(self.target)
        observed: Array = self.frame[columns].to_numpy(np.float64)[: self.stop]
        return observed

    @cached_property
    def unit(self) -> Array:
        """What errors are counted in, as a study does it: over the rows known at the first origin."""
        known = Fold(0, 0, int(self.origins[0]) + 1, self.start, self.stop)
        return error_unit(self.frame, known, FeatureSpec(target=self.target))

    @cached_property
    def values(self) -> Array:
        """What is observed, in units of `unit`: 1, or of several targets each one's standard deviation."""
        values: Array = self.observed / self.unit
        return values

    @cached_property
    def actual(self) -> Array:
        """The values that are scored, of shape (origins, horizon), or (origins, horizon, targets)."""
        windows = np.lib.stride_tricks.sliding_window_view(self.values[self.start :], self.horizon, axis=0)
        actual: Array = np.moveaxis(windows, -1, 1)
        return actual

    @cached_property
    def origins(self) -> npt.NDArray[np.int64]:
        """Position of the last row that is known at each origin."""
        return np.arange(self.start, self.stop - self.horizon + 1, dtype=np.int64) - self.lead

    @cached_property
    def past_origins(self) -> npt.NDArray[np.int64]:
        """Position of the origins whose whole horizon is known at the first one."""
        past = np.arange(int(self.origins[0]) + 1 - self.overlap, dtype=np.int64)
        if not len(past):
            raise DataError(
                f"quantiles of naive forecasts need more than {self.overlap} rows before the hold-out's first origin, "
                f"and there are {len(self.history)}: bring earlier rows"
            )
        return past

    @cached_property
    def history(self) -> Array:
        """The values that are known at the first origin."""
        return self.values[: self.origins[0] + 1]

    @property
    def overlap(self) -> int:
        """For how many origins on end the rows between origin and last forecast row overlap."""
        return self.lead + self.horizon - 1
