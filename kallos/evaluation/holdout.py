"""The rows that judge a model: seen by no study, forecast from every origin whose horizon lies in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError
from kallos.evaluation.metrics import rmse, score_forecasts
from kallos.evaluation.naive import naive_forecasts
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.evaluation.ridge import ridge_forecast
from kallos.evaluation.significance import diebold_mariano, gain_interval
from kallos.evaluation.verdict import LEVEL, decide
from kallos.folds import fewest_origins
from kallos.planning import stamp
from kallos.snapshots import frame_sha256

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Holdout:
    """Rows `start` to `stop` (exclusive) of a frame, which are scored, and all rows before them, which are known.

    `frame` is one of `kallos.preprocessing.study_frame`, the target stamped when it is known, and ends with the last
    scored row. `lead` is the number of rows from an origin, the last row that is known, to the first one that is
    forecast from it: 1, or the label's horizon. Raises `DataError` if no horizon fits, or no origin has a row.
    """

    frame: pd.DataFrame
    start: int
    stop: int
    target: str
    horizon: int
    lead: int
    frequency: str

    def __post_init__(self) -> None:
        """Refuse what has no forecast."""
        rows = self.stop - self.start
        if rows < self.horizon:
            raise DataError(
                f"a hold-out must hold one whole horizon: it has {rows} rows, and the horizon is {self.horizon}; "
                f"choose a later --test-end-date"
            )
        if not self.lead <= self.start or self.stop > len(self.frame):
            raise DataError(
                f"a hold-out must begin {self.lead} rows or more behind the first row and end within the "
                f"{len(self.frame)} rows: not from {self.start} to {self.stop}; bring earlier rows"
            )

    @cached_property
    def values(self) -> Array:
        """The target in all rows up to the last scored one."""
        values: Array = self.frame[self.target].to_numpy(np.float64)[: self.stop]
        return values

    @cached_property
    def actual(self) -> Array:
        """The targets that are scored, of shape (origins, horizon)."""
        windows: Array = np.lib.stride_tricks.sliding_window_view(self.values[self.start :], self.horizon)
        return windows

    @cached_property
    def origins(self) -> npt.NDArray[np.int64]:
        """Position of the last row that is known at each origin."""
        return np.arange(self.start, self.stop - self.horizon + 1, dtype=np.int64) - self.lead

    @cached_property
    def history(self) -> Array:
        """The targets that are known at the first origin."""
        return self.values[: self.origins[0] + 1]

    @property
    def overlap(self) -> int:
        """For how many origins on end the rows between origin and last forecast row overlap."""
        return self.lead + self.horizon - 1


def evaluate_forecasts(
    holdout: Holdout,
    forecasts: Mapping[str, Array],
    *,
    model_id: str,
    asset_id: str,
    looks: int,
    tests: int,
    in_use_id: str | None = None,
    in_use: Array | None = None,
    level: float = LEVEL,
) -> HoldoutEvaluation:
    """Return how a model does on a hold-out, beside naive forecasts, ridge and the model in use, and the verdict.

    `forecasts` has an array for each seed, of shape (origins, horizon) and in the target's own units; the model's
    forecast is their mean. `in_use` are those of the model in use. `looks` counts the evaluations of any model on rows
    of this hold-out, this one included, and `tests` the different tests: a
    model on a window each.

    Raises `DataError` if there are too few origins for a verdict, the target does not move, or forecasts are not one
    finite number for each origin and step.
    """
    refuse_too_few(holdout)
    actual = holdout.actual
    for name, each in {**forecasts, **({} if in_use is None else {"the model in use": in_use})}.items():
        _refuse_unfit(name, each, actual.shape)
    model = np.mean(list(forecasts.values()), axis=0)
    naive = naive_forecasts(holdout)
    ridge = ridge_forecast(holdout)
    best_naive = min(naive, key=lambda name: rmse(actual, naive[name]))
    if rmse(actual, naive[best_naive]) == 0:
        raise DataError(
            f"a target must move for a forecast to be of use, and the naive one ({best_naive}) makes no error on "
            f"{holdout.target!r} in the hold-out: choose other test dates, or name another target"
        )
    forecasters = {"model": model, **naive, "ridge": ridge, **({} if in_use is None else {"in use": in_use})}
    is_level = rmse(actual, naive["last"]) < rmse(actual, naive["zero"])
    reference = naive["last"] if is_level else naive["zero"]

    def against(name: str) -> Comparison:
        return compare(
            name, _losses(actual, model), _losses(actual, forecasters[name]), overlap=holdout.overlap, level=level
        )

    against_naive, against_ridge = against(best_naive), against("ridge")
    against_in_use = None if in_use is None else against("in use")
    return HoldoutEvaluation(
        model_id=model_id,
        in_use_id=in_use_id,
        asset_id=asset_id,
        target=holdout.target,
        horizon=holdout.horizon,
        test_start=stamp(holdout.frame.index[holdout.start]),
        test_end=stamp(holdout.frame.index[holdout.stop - 1]),
        n_origins=len(actual),
        data_sha256=frame_sha256(holdout.frame.iloc[: holdout.stop]),
        level=level,
        scores={
            name: score_forecasts(actual, each, reference=reference, history=holdout.history)
            for name, each in forecasters.items()
        },
        rmse_by_seed={seed: rmse(actual, each) for seed, each in forecasts.items()},
        naive=best_naive,
        against_naive=against_naive,
        against_ridge=against_ridge,
        against_in_use=against_in_use,
        looks=looks,
        tests=tests,
        verdict=decide(
            against_naive,
            against_ridge,
            against_in_use,
            is_like_returns=not is_level,
            looks=looks,
            tests=tests,
            level=level,
        ),
    )


def compare(other: str, model_losses: Array, other_losses: Array, *, overlap: int, level: float = LEVEL) -> Comparison:
    """Return a model against another forecaster, by one loss an origin: its mean squared error over the steps.

    The interval has a share `level` on each side, so that it says about what the one-sided test says.
    """
    test = diebold_mariano(model_losses, other_losses, overlap=overlap)
    confidence = 1 - 2 * level
    interval = gain_interval(model_losses, other_losses, confidence=confidence, overlap=overlap)
    return Comparison(
        other=other,
        gain=interval.gain,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        block_length=interval.block_length,
        statistic=test.statistic,
        p_value=test.p_value,
    )


def _losses(actual: Array, forecast: Array) -> Array:
    losses: Array = np.square(forecast - actual).mean(axis=1)
    return losses


def refuse_too_few(holdout: Holdout) -> None:
    """Raise `DataError` if a hold-out has too few origins for a verdict."""
    needed = fewest_origins(holdout.lead, holdout.horizon)
    there = len(holdout.actual)
    if there < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and the hold-out of {holdout.stop - holdout.start} rows has "
            f"{there} with horizon {holdout.horizon}: choose an earlier --test-start-date or a later --test-end-date, "
            f"{needed - there} rows more"
        )


def _refuse_unfit(name: str, forecast: Array, shape: tuple[int, ...]) -> None:
    if forecast.shape != shape:
        raise DataError(
            f"forecasts must have a row for each origin, shape {shape}: those of {name} have {forecast.shape}"
        )
    if not np.isfinite(forecast).all():
        raise DataError(f"forecasts must be finite, and those of {name} are not: train the model again")
