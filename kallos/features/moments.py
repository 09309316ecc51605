"""Timestamps as JSON holds them."""

import pandas as pd

Timestamp = str | int


def timestamp(moment: pd.Timestamp | int) -> Timestamp:
    """Return a row's timestamp as JSON holds it: ISO text, or the integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)


def moment(timestamp: Timestamp) -> pd.Timestamp | int:
    """Return a row's timestamp as an index holds it, from what JSON holds."""
    return pd.Timestamp(timestamp) if isinstance(timestamp, str) else timestamp
