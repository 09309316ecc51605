"""Forecasts of a trained model: of past rows from every origin, and of the next, unknown rows."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError, UsageError, require, require_whole
from kallos.features.clock import next_rows
from kallos.features.market import Market
from kallos.features.moments import Timestamp, timestamp
from kallos.folds.derived import known_calendar, reach
from kallos.folds.rows import require_rows
from kallos.models.trained import TrainedMember, TrainedModel
from kallos.scoring.forecast import Forecast
from kallos.scoring.rolling import look_back, next_forecast, rolling_forecasts, rows_before
from kallos.scoring.training import quiet_single_thread
from kallos.specs.calendar import HOLIDAY
from kallos.specs.study import TuneSpec
from kallos.words import day, did_you_mean, pasteable, shorten

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """The forecasts from one origin, in the targets' own units: the model's, and each member's own by its label.

    Step k is the target k - 1 + lead rows after the origin `as_of`; the study's rows have each target at the time when
    it is known. `target_times` has None for a row whose timestamp is unknown. `in_sample` is true if the model was
    trained on rows after the origin. `point` and the arrays of `by_member` have the shape (steps, targets); `quantiles`
    has one more axis for the `levels`. Points are what the study's metric scores (`Forecast.scored_by`).
    """

    model_id: str
    asset_id: str
    targets: tuple[str, ...]
    as_of: Timestamp
    target_times: tuple[Timestamp | None, ...]
    point: Array
    quantiles: Array
    levels: tuple[float, ...]
    by_member: dict[str, Array]
    in_sample: bool


def forecast_windows(model: TrainedModel, frame: pd.DataFrame, start: int, stop: int) -> dict[str, Forecast]:
    """Return each member's forecasts, by its label, from all origins whose horizon lies within rows [start, stop).

    The rows are positions in `frame` (`kallos.folds.columns.study_frame`). Forecasts are in the targets' own units. The
    first origin's are of rows `start` to `start + horizon - 1`, from what is known `lead` rows before `start`.

    Raises `DataError` if the model's columns are missing, there are too few rows before `start`, or no horizon fits.
    """
    require(TrainedModel, model=model)
    require_rows(frame=frame)
    require_whole(0, start=start, stop=stop)
    manifest = model.manifest
    rows = _columns_of(model, frame)
    before = max(rows_before(member.model) for member in model.members)
    if start < before:
        raise DataError(f"model {model.model_id} needs {before} rows before its first forecast, and there are {start}")
    if not stop <= len(rows) or stop - start < manifest.horizon:
        raise DataError(
            f"a window must hold at least one horizon of {manifest.horizon} rows, and [{start}, {stop}) of "
            f"{len(rows)} rows does not"
        )

    def rolling(member: TrainedMember) -> Array:
        own = rows_before(member.model)
        prepared = member.preparation.apply(rows.iloc[start - own : stop])
        return rolling_forecasts(member.model, prepared, own, manifest.horizon)

    with quiet_single_thread():
        return model.of_each(rolling)


def forecast_next(
    model: TrainedModel,
    frame: pd.DataFrame,
    as_of: pd.Timestamp | int | None = None,
    *,
    later: pd.DataFrame | None = None,
) -> Forecasts:
    """Return the forecasts made at the last row, or at the last row not after `as_of`.

    `frame` is a study's (`kallos.folds.columns.study_frame`). The first step is the first target that is unknown at the
    origin: that of the next row, or for a label that looks ahead, the origin's own. Of rows after the origin, only
    columns that are known ahead are read: the calendar is that of the expected timestamps, and the study's
    `known_future` columns are taken from `later`, rows as loaded (by default from `frame`).

    Raises `DataError` if the model's columns are missing, there are too few rows up to the origin, or a column that is
    known ahead has no value for a row that is forecast.
    """
    require(TrainedModel, model=model)
    require_rows(frame=frame)
    require((pd.Timestamp, Integral, type(None)), as_of=as_of)
    require((pd.DataFrame, type(None)), later=later)
    manifest = model.manifest
    rows = _columns_of(model, frame)
    if as_of is not None:
        if isinstance(as_of, pd.Timestamp) != isinstance(rows.index, pd.DatetimeIndex):
            kind = "timestamps" if isinstance(rows.index, pd.DatetimeIndex) else "integers"
            raise UsageError(f"as_of must be of the same kind as the index, {kind}, not {as_of}")
        rows = rows.loc[:as_of]
    needed, features = max(look_back(member.model) for member in model.members), manifest.spec.features
    if len(rows) < needed + reach(features):
        until = "" if as_of is None else f" up to {as_of}"
        raise DataError(
            f"a forecast of {manifest.model_id} needs {needed + reach(features)} rows, and there are "
            f"{len(rows)}{until}: add earlier rows"
        )
    expected = next_rows(
        rows.index, manifest.frequency, manifest.lead + manifest.horizon - 1, _market(manifest.spec, rows.index)
    )
    ahead = _known_ahead(model, frame if later is None else later, expected)

    def following(member: TrainedMember) -> Array:
        prepared = member.preparation.apply(rows.iloc[-look_back(member.model) :], ahead)
        return next_forecast(member.model, prepared, manifest.horizon)

    with quiet_single_thread():
        by_member = model.of_each(following)
    forecast = model.mean_of(by_member)
    origin, end = rows.index[-1], manifest.data.end
    metric, powers = manifest.spec.metric, features.variance_powers
    return Forecasts(
        model_id=manifest.model_id,
        asset_id=manifest.asset_id,
        targets=features.targets,
        as_of=timestamp(origin),
        target_times=tuple(map(timestamp, expected[manifest.lead - 1 :])) or (None,) * manifest.horizon,
        point=forecast.scored_by(metric, powers)[0],
        quantiles=forecast.quantiles[0],
        levels=forecast.levels,
        by_member={label: each.scored_by(metric, powers)[0] for label, each in by_member.items()},
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


def _market(spec: TuneSpec, index: pd.Index) -> Market | None:
    """Return the exchange that the rows follow: the study's, or the only one of its calendar without such a holiday."""
    if spec.data.market is not None:
        return Market.of(spec.data.market)
    exchanges = [name.removeprefix(HOLIDAY) for name in spec.features.calendar if name.startswith(HOLIDAY)]
    if len(exchanges) != 1:
        return None
    (market,) = map(Market.of, exchanges)
    return None if market.is_holiday(index).any() else market


def _known_ahead(
    model: TrainedModel, later: pd.DataFrame, expected: list[pd.Timestamp] | list[int]
) -> pd.DataFrame | None:
    """Return the columns that are known ahead at the expected rows, or None if the model reads none."""
    features, scalers = model.manifest.spec.features, model.members[0].preparation.known_scalers
    if not scalers:
        return None
    if not expected:
        raise DataError(
            f"model {model.model_id} reads columns at the rows that it forecasts, and these rows' timestamps cannot be "
            f"predicted from rows that have no frequency"
        )
    index = pd.Index(expected, name=later.index.name)
    names = [name for scaler in scalers for name in scaler.columns]
    data = model.manifest.spec.data
    calendar = known_calendar(index, features, str(model.manifest.frequency), data.market)
    of_table = (
        later[~later.index.duplicated()]
        .reindex(index)[[name for name in names if name not in calendar.columns]]
        .astype(np.float64)
    )
    for name in of_table.columns:
        missing = index[~np.isfinite(of_table[name])]
        if len(missing):
            raise DataError(
                f"a column of 'known_future' needs a value in each row that is forecast, and {pasteable(name)} has "
                f"none for {day(timestamp(missing[0]))}",
                "add rows with these timestamps to the table; their other columns may be empty",
            )
    return pd.concat([of_table, calendar], axis=1)[names]
