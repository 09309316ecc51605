"""Forecasts of a trained model: of past rows from every origin, and of the next, unknown rows."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError, UsageError, require, require_whole
from kallos.features.clock import next_rows
from kallos.features.frequency import Frequency
from kallos.features.market import Market
from kallos.features.moments import Timestamp, timestamp
from kallos.folds.rows import require_rows
from kallos.models.trainer import TrainedModel
from kallos.scoring.fold import as_fit_errors
from kallos.scoring.metrics import Forecast
from kallos.scoring.rolling import look_back, next_forecast, rolling_forecasts, rows_before
from kallos.words import did_you_mean, shorten

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """The forecasts from one origin, in the targets' own units: the mean over the members, and each member's own.

    Step k is the target k - 1 + lead rows after the origin `as_of`; the study's rows have each target at the time when
    it is known. `target_times` has None for a row whose timestamp is unknown. `in_sample` is true if the model was
    trained on rows after the origin. `point` and the arrays of `by_seed` have the shape (steps, targets); `quantiles`
    has one more axis for the `levels`.
    """

    model_id: str
    asset_id: str
    targets: tuple[str, ...]
    as_of: Timestamp
    target_times: tuple[Timestamp | None, ...]
    point: Array
    quantiles: Array
    levels: tuple[float, ...]
    by_seed: dict[str, Array]
    in_sample: bool


def forecast_windows(model: TrainedModel, frame: pd.DataFrame, start: int, stop: int) -> dict[str, Array]:
    """Return each member's forecasts, by seed, from all origins whose horizon lies within rows [start, stop).

    The rows are positions in `frame` (`kallos.folds.columns.study_frame`). Each array has the shape (origins, horizon,
    targets, levels), in the targets' own units. Its first row forecasts rows `start` to `start + horizon - 1` from what
    is known `lead` rows before `start`.

    Raises `DataError` if the model's columns are missing, there are too few rows before `start`, or no horizon fits.
    """
    from kallos.scoring.training import quiet_single_thread

    require(TrainedModel, model=model)
    require_rows(frame=frame)
    require_whole(0, start=start, stop=stop)
    manifest = model.manifest
    rows = _columns_of(model, frame)
    before = max(map(rows_before, model.members))
    if start < before:
        raise DataError(f"model {model.model_id} needs {before} rows before its first forecast, and there are {start}")
    if not stop <= len(rows) or stop - start < manifest.horizon:
        raise DataError(
            f"a window must hold at least one horizon of {manifest.horizon} rows, and [{start}, {stop}) of "
            f"{len(rows)} rows does not"
        )
    with quiet_single_thread(), as_fit_errors(manifest.architecture):
        prepared = model.preparation.apply(rows.iloc[start - before : stop])
        return {
            str(seed): rolling_forecasts(member, prepared, before, manifest.horizon)
            for seed, member in zip(model.seeds, model.members, strict=True)
        }


def forecast_next(model: TrainedModel, frame: pd.DataFrame, as_of: pd.Timestamp | int | None = None) -> Forecasts:
    """Return the forecasts made at the last row, or at the last row not after `as_of`.

    `frame` is a study's (`kallos.folds.columns.study_frame`). The first step is the first target that is unknown at the
    origin: that of the next row, or for a label that looks ahead, the origin's own. Rows after the origin are not read.

    Raises `DataError` if the model's columns are missing, or there are too few rows up to the origin.
    """
    from kallos.scoring.training import quiet_single_thread

    require(TrainedModel, model=model)
    require_rows(frame=frame)
    require((pd.Timestamp, Integral, type(None)), as_of=as_of)
    manifest = model.manifest
    rows = _columns_of(model, frame)
    if as_of is not None:
        if isinstance(as_of, pd.Timestamp) != isinstance(rows.index, pd.DatetimeIndex):
            kind = "timestamps" if isinstance(rows.index, pd.DatetimeIndex) else "integers"
            raise UsageError(f"as_of must be of the same kind as the index, {kind}, not {as_of}")
        rows = rows.loc[:as_of]
    needed, levels = max(map(look_back, model.members)), manifest.spec.levels
    if len(rows) < needed:
        until = "" if as_of is None else f" up to {as_of}"
        raise DataError(
            f"a forecast of {manifest.model_id} needs {needed} rows, and there are {len(rows)}{until}: add earlier rows"
        )
    with quiet_single_thread(), as_fit_errors(manifest.architecture):
        prepared = model.preparation.apply(rows.iloc[-needed:])
        by_seed = {
            str(seed): next_forecast(member, prepared, manifest.horizon)
            for seed, member in zip(model.seeds, model.members, strict=True)
        }
    forecast = Forecast.mean_of(by_seed.values(), levels)
    origin, end, market = rows.index[-1], manifest.data.end, manifest.spec.data.market
    return Forecasts(
        model_id=manifest.model_id,
        asset_id=manifest.asset_id,
        targets=manifest.spec.features.targets,
        as_of=timestamp(origin),
        target_times=next_timestamps(
            rows.index,
            manifest.frequency,
            manifest.lead,
            manifest.horizon,
            None if market is None else Market.of(market),
        ),
        point=forecast.point[0],
        quantiles=forecast.quantiles[0],
        levels=levels,
        by_seed={seed: Forecast.of_quantiles(each, levels).point[0] for seed, each in by_seed.items()},
        in_sample=bool(origin < (pd.Timestamp(end) if isinstance(end, str) else end)),
    )


def _columns_of(model: TrainedModel, frame: pd.DataFrame) -> pd.DataFrame:
    columns = model.manifest.columns
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DataError(
            f"model {model.model_id} needs {len(columns)} columns, and {len(missing)} are missing: {shorten(missing)}; "
            f"{did_you_mean(missing[0], map(str, frame.columns))}"
        )
    return frame[list(columns)]


def next_timestamps(
    index: pd.Index, frequency: Frequency, lead: int, horizon: int, market: Market | None = None
) -> tuple[Timestamp | None, ...]:
    """Return the timestamps of the rows `lead` to `lead + horizon - 1` after the last, None if they are unknown.

    If rows may be missing, they are the expected ones (`kallos.features.clock.next_rows`).
    """
    rows = next_rows(index, frequency, lead + horizon - 1, market)
    return tuple(timestamp(each) for each in rows[lead - 1 :]) or (None,) * horizon
