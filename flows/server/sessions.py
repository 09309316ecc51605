"""Runs that have nothing to do on days without a session."""

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from prefect import runtime
from prefect.states import Completed

from kallos.errors import UsageError
from kallos.features.market import Market
from kallos.specs.study import TuneSpec


def no_session(spec: TuneSpec) -> str | None:
    """Return that the study's exchange has no session on the day for which the run is scheduled, or None if it has.

    The day is that of the scheduled time in `days_in`, or in UTC. Raises `UsageError` if the study has no exchange.
    """
    if spec.data.market is None:
        raise UsageError("'only_on_sessions' needs an exchange: set `market` to NYSE, for example")
    scheduled = runtime.flow_run.scheduled_start_time.astimezone(ZoneInfo(spec.data.days_in or "UTC"))
    day = scheduled.date()
    if Market.of(spec.data.market).is_session(pd.DatetimeIndex([day]))[0]:
        return None
    return f"no session of {spec.data.market} on {day}: nothing to do"


def completed(message: str) -> Any:
    """Return what a flow returns to end its run as Completed, with this message and without a result."""
    return Completed(message=message)
