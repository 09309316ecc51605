"""Timestamps as JSON holds them."""

import pandas as pd

Stamp = str | int


def stamp(moment: pd.Timestamp | int) -> Stamp:
    """Return a row's stamp as JSON holds it: ISO text, or the integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)


def moment(stamp: Stamp) -> pd.Timestamp | int:
    """Return a row's stamp as an index holds it, from what JSON holds."""
    return pd.Timestamp(stamp) if isinstance(stamp, str) else stamp
