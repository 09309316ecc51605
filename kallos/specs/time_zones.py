"""Names of time zones."""

from zoneinfo import ZoneInfo, available_timezones

from kallos.words import did_you_mean


def check_zone(zone: str) -> str:
    """Return the name of a time zone, or raise `ValueError` if it is unknown."""
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise ValueError(
            f"must be a zone of the IANA database such as Europe/Berlin, not {zone!r}: "
            f"{did_you_mean(zone, available_timezones())}"
        ) from None
    return zone
