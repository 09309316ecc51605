"""Rows that are forecast: a fold's validation window or a hold-out, with all rows before it that are known."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency
from kallos.folds.grid import Fold
from kallos.scoring.targets import error_unit, targets_of
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Window:
    """Rows `start` to the end of a frame, forecast from every origin whose horizon lies in them.

    `frame` is one of `kallos.folds.columns.study_frame`, the target stamped when it is known. `unit`, of shape
    (targets,), is what errors are counted in. Raises `DataError` if no horizon fits, or no origin has a row.
    """

    frame: pd.DataFrame
    start: int
    spec: TuneSpec
    frequency: Frequency
    unit: Array

    @classmethod
    def of_fold(cls, frame: pd.DataFrame, fold: Fold, spec: TuneSpec, frequency: Frequency) -> Self:
        """Return a fold's validation window, with the rows of the fold alone before it."""
        unit = error_unit(frame, fold, spec.features, in_own_units=spec.in_own_units)
        return cls(frame.iloc[fold.rows], fold.validation_start - fold.train_start, spec, frequency, unit)

    @classmethod
    def of_holdout(cls, frame: pd.DataFrame, rows: slice, spec: TuneSpec, frequency: Frequency) -> Self:
        """Return the rows that judge a model, with all rows before them."""
        fold = Fold(0, 0, rows.start - spec.features.lead + 1, rows.start, rows.stop)
        return cls.of_fold(frame, fold, spec, frequency)

    def __post_init__(self) -> None:
        """Refuse what has no forecast."""
        rows = len(self.frame) - self.start
        if rows < self.horizon:
            raise DataError(
                f"a hold-out must hold one whole horizon: it has {rows} rows, and the horizon is {self.horizon}; "
                f"choose a later `test_end_date`"
            )
        if self.start < self.lead:
            raise DataError(
                f"a hold-out must begin {self.lead} rows or more behind the first row, and it begins at row "
                f"{self.start}: bring earlier rows"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return self.spec.features.targets

    @property
    def horizon(self) -> int:
        """Steps that are forecast from each origin."""
        return self.spec.horizon

    @property
    def lead(self) -> int:
        """Rows from an origin, the last row that is known, to the first one that is forecast from it."""
        return self.spec.features.lead

    @property
    def overlap(self) -> int:
        """For how many origins on end the rows between origin and last forecast row overlap."""
        return self.lead + self.horizon - 1

    @cached_property
    def observed(self) -> Array:
        """The targets in all rows, in their own units, of shape (rows, targets)."""
        return targets_of(self.frame, self.spec.features)

    @cached_property
    def values(self) -> Array:
        """What is observed, in units of `unit`."""
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
        """Position of the last row that is known at each origin."""
        return np.arange(self.start, len(self.frame) - self.horizon + 1, dtype=np.int64) - self.lead

    @cached_property
    def past_origins(self) -> Origins:
        """Position of the origins whose whole horizon is known at the first one."""
        past = np.arange(int(self.origins[0]) + 1 - self.overlap, dtype=np.int64)
        if not len(past):
            raise DataError(
                f"quantiles of naive forecasts need more than {self.overlap} rows before a window's first origin, "
                f"and there are {len(self.history)}: bring earlier rows"
            )
        return past

    @cached_property
    def history(self) -> Array:
        """The values that are known at the first origin."""
        return self.values[: self.origins[0] + 1]
