"""The calendar as columns: what a row's own timestamp says, of the past and of rows to come alike."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.errors import DataError, UsageError
from kallos.features.market import Days, Flags, Market, days_of
from kallos.specs.calendar import HOLIDAY, calendar_names

NEEDS_TIMESTAMPS = "'calendar' needs timestamps, but the rows are indexed by integers"

_ONE = np.timedelta64(1, "D")
# The last trading day of a month, and so many of the next one.
_FIRST_OF_MONTH = 3


def calendar_columns(
    index: pd.Index, names: tuple[str, ...], *, has_gaps: bool, market: str | None = None
) -> pd.DataFrame:
    """Return the columns of these items (`kallos.specs.calendar.calendar_names`): 0.0 or 1.0 for each row.

    Which columns there are depends on `names` alone, and their values in a row only on its own timestamp. `weekday`,
    `month` and `hour` are one column for each. `turn_of_month` marks the last trading day of a month and the first
    three of the next (Lakonishok & Smidt 1988, "Are seasonal anomalies real?"). `holiday:NYSE` marks the exchange's
    scheduled holidays, and the days whose next or last weekday is one. Trading days are the sessions of the `market`,
    or of the first of these exchanges; without one, weekdays if the rows have gaps (`Frequency.has_gaps`), else all
    days.

    Raises `UsageError` if the index has no timestamps, and `DataError` for rows before an exchange's first known year.
    """
    if not isinstance(index, pd.DatetimeIndex):
        raise UsageError(f"{NEEDS_TIMESTAMPS}; leave it out")
    markets = {name: Market.of(name.removeprefix(HOLIDAY)) for name in names if name.startswith(HOLIDAY)}
    for exchange in markets.values():
        _refuse_unknown_years(index, exchange)
    exchanges = [*([] if market is None else [Market.of(market)]), *markets.values()]
    market_days = next((exchange.days for exchange in exchanges), None)
    trading_days = market_days or np.busdaycalendar(weekmask="1111100" if has_gaps else "1111111")
    flags = [column for name in names for column in _columns_of(name, index, markets.get(name), trading_days)]
    return pd.DataFrame(
        np.column_stack(flags).astype(np.float64) if flags else None, index=index, columns=list(calendar_names(names))
    )


def _refuse_unknown_years(index: pd.DatetimeIndex, market: Market) -> None:
    if len(index) and index[0] < market.first_day:
        raise DataError(
            f"the holidays of {market.name} are known from {market.first_day:%Y-%m-%d} on, and the first row is of "
            f"{index[0]:%Y-%m-%d}",
            f"set `start_date` to {market.first_day:%Y-%m-%d} or later, or remove '{HOLIDAY}{market.name}'",
        )


def _columns_of(
    name: str, index: pd.DatetimeIndex, market: Market | None, trading_days: np.busdaycalendar
) -> Iterator[Flags]:
    if market is not None:
        yield from _around_holidays(days_of(index), market.days)
    elif name == "turn_of_month":
        yield _turn_of_month(days_of(index), trading_days)
    else:
        parts = {"weekday": (index.dayofweek, 0, 7), "month": (index.month, 1, 13), "hour": (index.hour, 0, 24)}
        part, first, stop = parts[name]
        yield from (part.to_numpy() == each for each in range(first, stop))


def _around_holidays(days: Days, market_days: np.busdaycalendar) -> Iterator[Flags]:
    """Yield whether days are holidays, whether the next weekday is one, and whether the last one was."""
    weekdays = np.busdaycalendar(weekmask=market_days.weekmask)
    following = np.busday_offset(days + _ONE, 0, roll="forward", busdaycal=weekdays)
    preceding = np.busday_offset(days - _ONE, 0, roll="backward", busdaycal=weekdays)
    yield from (np.isin(each, market_days.holidays) for each in (days, following, preceding))


def _turn_of_month(days: Days, trading_days: np.busdaycalendar) -> Flags:
    month = days.astype("datetime64[M]")

    def count(first: Days, stop: Days) -> npt.NDArray[np.int64]:
        return np.busday_count(first, stop, busdaycal=trading_days)

    is_first = count(month.astype("datetime64[D]"), days) < _FIRST_OF_MONTH
    is_last = count(days + _ONE, (month + 1).astype("datetime64[D]")) == 0
    flags: Flags = np.is_busday(days, busdaycal=trading_days) & (is_first | is_last)
    return flags
