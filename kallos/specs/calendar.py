"""Names of exchanges, and of the calendar's items and the columns that they become."""

from kallos.errors import UsageError
from kallos.words import did_you_mean

HOLIDAY = "holiday:"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "weekday": tuple(f"weekday_{day}" for day in _WEEKDAYS),
    "month": tuple(f"month_{month}" for month in range(1, 13)),
    "hour": tuple(f"hour_{hour}" for hour in range(24)),
    "turn_of_month": ("turn_of_month",),
}


def check_market(name: str) -> str:
    """Return the name of an exchange, or raise `UsageError` if the package `holidays` has none of that name."""
    import holidays

    exchanges = holidays.list_supported_financial()
    if name not in exchanges:
        raise UsageError(f"market must be an exchange such as NYSE, not {name!r}: {did_you_mean(name, exchanges)}")
    return name


def check_calendar(name: str) -> str:
    """Return an item of the calendar, or raise `UsageError` if there is none of that name."""
    if name.startswith(HOLIDAY):
        try:
            check_market(name.removeprefix(HOLIDAY))
        except UsageError as error:
            raise UsageError(f"calendar {name!r} has no such exchange: its {error}") from None
    elif name not in _COLUMNS:
        choices = (*_COLUMNS, f"{HOLIDAY}NYSE")
        raise UsageError(f"calendar must be one of its items, not {name!r}: {did_you_mean(name, choices)}")
    return name


def calendar_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns of these items, in order; they do not depend on any data."""
    return tuple(column for name in names for column in _columns_of(name))


def _columns_of(name: str) -> tuple[str, ...]:
    if not name.startswith(HOLIDAY):
        return _COLUMNS[name]
    exchange = name.removeprefix(HOLIDAY)
    return f"holiday_{exchange}", f"before_holiday_{exchange}", f"after_holiday_{exchange}"
