"""Timestamps in JSON."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Timestamp = str | int


def timestamp(moment: "pd.Timestamp | int") -> Timestamp:
    """Return a row's timestamp for JSON: ISO text or an integer."""
    import pandas as pd

    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)


def moment(timestamp: Timestamp) -> "pd.Timestamp | int":
    """Return a row's timestamp for an index, from JSON."""
    import pandas as pd

    return pd.Timestamp(timestamp) if isinstance(timestamp, str) else timestamp
