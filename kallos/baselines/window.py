"""The rows to forecast, a fold's window or a hold-out, with the known rows before them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency
from kallos.folds.cut import Fold
from kallos.scoring.targets import error_unit, targets_of
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Window:
    """The rows of a frame from `start` on, forecast from every origin whose whole horizon lies in them.

    `frame` comes from `kallos.folds.columns.study_frame`, which moves labels to when they are known. `unit`, of shape
    (targets,), is the unit of errors. Raises `DataError` if no horizon fits, or if the first origin lies before all
    rows.
    """

    frame: pd.DataFrame
    start: int
    spec: TuneSpec
    frequency: Frequency
    unit: Array

    @classmethod
    def of_fold(cls, frame: pd.DataFrame, fold: Fold, spec: TuneSpec, frequency: Frequency) -> Self:
        """Return a fold's window, with the fold's training rows before it."""
        unit = error_unit(frame, fold, spec.features, in_own_units=spec.in_own_units)
        return cls(frame.iloc[fold.rows], fold.validation_start - fold.train_start, spec, frequency, unit)

    @classmethod
    def of_holdout(cls, frame: pd.DataFrame, rows: slice, spec: TuneSpec, frequency: Frequency) -> Self:
        """Return the hold-out's rows, with all rows before them."""
        fold = Fold(0, 0, rows.start - spec.features.lead + 1, rows.start, rows.stop)
        return cls.of_fold(frame, fold, spec, frequency)

    def __post_init__(self) -> None:
        """Raise `DataError` if there is nothing to forecast."""
        rows = len(self.frame) - self.start
        if rows < self.horizon:
            raise DataError(
                f"a window must contain a whole horizon of {self.horizon} rows, and has {rows}: choose a later "
                f"`test_end_date`"
            )
        if self.start < self.lead:
            raise DataError(
                f"a window must begin at least {self.lead} rows after the first row, and begins {self.start} rows "
                f"after it: bring earlier rows"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return self.spec.features.targets

    @property
    def horizon(self) -> int:
        """Number of steps that are forecast from each origin."""
        return self.spec.horizon

    @property
    def lead(self) -> int:
        """Number of rows from an origin to its first forecast."""
        return self.spec.features.lead

    @property
    def overlap(self) -> int:
        """Number of consecutive origins whose forecasts overlap: the rows from an origin to its last forecast."""
        return self.lead + self.horizon - 1

    @cached_property
    def observed(self) -> Array:
        """The targets in their own units, of shape (rows, targets)."""
        return targets_of(self.frame, self.spec.features)

    @cached_property
    def values(self) -> Array:
        """The targets in units of `unit`."""
        values: Array = self.observed / self.unit
        return values

    @cached_property
    def actual(self) -> Array:
        """The values that are scored, of shape (origins, horizon, targets)."""
        windows = np.lib.stride_tricks.sliding_window_view(self.values[self.start :], self.horizon, axis=0)
        actual: Array = np.moveaxis(windows, -1, 1)
        return actual

    @cached_property
    def origins(self) -> Origins:
        """The positions of the origins, each the last known row."""
        return np.arange(self.start, len(self.frame) - self.horizon + 1, dtype=np.int64) - self.lead

    @cached_property
    def past_origins(self) -> Origins:
        """The positions of the origins whose whole horizon is known at the first origin."""
        past = np.arange(int(self.origins[0]) + 1 - self.overlap, dtype=np.int64)
        if not len(past):
            raise DataError(
                f"quantiles of baselines need more than {self.overlap} rows up to a window's first origin, and "
                f"there are {len(self.history)}: bring earlier rows"
            )
        return past

    @cached_property
    def history(self) -> Array:
        """The values known at the first origin."""
        return self.values[: self.origins[0] + 1]
