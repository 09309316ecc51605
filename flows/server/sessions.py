"""Runs that have nothing to do on days without a session."""

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from prefect import runtime
from prefect.states import Completed

from kallos.errors import UsageError
from kallos.features.market import Market
from kallos.specs.data import DataSpec


def no_session(data: DataSpec) -> str | None:
    """Return that the study's exchange has no session on the day for which the run is scheduled, or None if it has.

    The day is that of the scheduled time in `days_in`, or in UTC. Raises `UsageError` if the study has no exchange.
    """
    if data.market is None:
        raise UsageError("'only_on_sessions' needs an exchange: set `market` to NYSE, for example")
    scheduled = runtime.flow_run.scheduled_start_time.astimezone(ZoneInfo(data.days_in or "UTC"))
    day = scheduled.date()
    if Market.of(data.market).is_session(pd.DatetimeIndex([day]))[0]:
        return None
    return f"no session of {data.market} on {day}: nothing to do"


def completed(message: str) -> Any:
    """Return what a flow returns to end its run as Completed, with this message and without a result."""
    return Completed(message=message)
