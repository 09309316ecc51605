"""Timestamps in JSON."""

import pandas as pd

Timestamp = str | int


def timestamp(moment: pd.Timestamp | int) -> Timestamp:
    """Return a row's timestamp for JSON: ISO text or an integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)


def moment(timestamp: Timestamp) -> pd.Timestamp | int:
    """Return a row's timestamp for an index, from JSON."""
    return pd.Timestamp(timestamp) if isinstance(timestamp, str) else timestamp
