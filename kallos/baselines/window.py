"""The rows to forecast, a fold's window or a hold-out, with the known rows before them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.features.frequency import Frequency, rows_per_year
from kallos.folds.cut import Fold
from kallos.scoring.metrics import Scoring
from kallos.scoring.positions import Trading
from kallos.scoring.targets import error_unit, mean_change, reference_at, refuse_not_positive, targets_of, windows_of
from kallos.specs.metrics import MASE, QLIKE
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]
Origins = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Window:
    """The rows of a frame from `start` on, forecast from every origin whose whole horizon lies in them.

    `frame` comes from `kallos.folds.columns.study_frame`, which moves labels to when they are known. `unit`, of shape
    (targets,), is the unit of errors, and `change` the mean absolute change of one row over the training rows, in the
    targets' own units. Raises `DataError` if no horizon fits, or if the first origin lies before all rows.
    """

    frame: pd.DataFrame
    start: int
    spec: TuneSpec
    frequency: Frequency
    unit: Array
    change: Array

    @classmethod
    def of_fold(cls, frame: pd.DataFrame, fold: Fold, spec: TuneSpec, frequency: Frequency) -> Self:
        """Return a fold's window, with the fold's training rows before it.

        Raises `DataError` if the metric is qlike and a target in the window is not positive, or if it is mase and a
        target does not change in the training rows.
        """
        if QLIKE in spec.objectives:
            scored = frame.iloc[fold.validation_start : fold.validation_stop]
            refuse_not_positive(
                scored, spec.features.targets, "metric qlike", "repair these rows, or use another `metric`"
            )
        unit = error_unit(frame, fold, spec.features, in_own_units=spec.in_own_units)
        change = mean_change(targets_of(frame.iloc[fold.train_start : fold.train_stop], spec.features))
        if MASE in spec.objectives and not (change > 0).all():
            still = spec.features.targets[int(np.argmin(change > 0))]
            raise DataError(
                f"metric mase needs a target that changes over the training rows of each fold, and {still!r} does not "
                f"in fold {fold.number}: use another `metric`, or choose other dates"
            )
        return cls(frame.iloc[fold.rows], fold.validation_start - fold.train_start, spec, frequency, unit, change)

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

    def in_logarithms(self) -> "Window":
        """Return the same rows with the logarithms of the targets; raises `DataError` if one is not positive."""
        logarithm = "target_transform 'log'"
        refuse_not_positive(self.frame, self.targets, logarithm, "repair these rows, or remove `target_transform`")
        logs = {name: np.log(self.frame[name]) for name in self.targets}
        return replace(self, frame=self.frame.assign(**logs), unit=np.ones(len(self.targets)))

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return self.spec.features.targets

    @property
    def scoring(self) -> Scoring:
        """What metrics need besides forecasts and `actual`."""
        features = self.spec.features
        return Scoring(
            powers=features.variance_powers,
            unit=self.unit,
            change=self.change,
            reference=reference_at(self.values, self.origins)[:, None, :],
            trading=Trading(self.spec.cost_bps, rows_per_year(self.frame.index), features.lead),
        )

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
        return windows_of(self.values[self.start :], self.horizon)

    @cached_property
    def origins(self) -> Origins:
        """The positions of the origins, each the last known row."""
        return np.arange(self.start, len(self.frame) - self.horizon + 1, dtype=np.int64) - self.lead

    @property
    def known(self) -> int:
        """The number of rows known at the first origin."""
        return int(self.origins[0]) + 1

    def following(self, origins: Origins) -> Array:
        """Return the values that are forecast from these origins, of shape (origins, horizon, targets)."""
        following: Array = self.values[origins[:, None] + self.lead + np.arange(self.horizon)]
        return following

    @cached_property
    def past_origins(self) -> Origins:
        """The positions of the origins whose whole horizon is known at the first origin."""
        past = np.arange(self.known - self.overlap, dtype=np.int64)
        if not len(past):
            raise DataError(
                f"past errors of baselines need more than {self.overlap} rows up to a window's first origin, and "
                f"there are {len(self.history)}: bring earlier rows"
            )
        return past

    @cached_property
    def history(self) -> Array:
        """The values known at the first origin."""
        return self.values[: self.known]
