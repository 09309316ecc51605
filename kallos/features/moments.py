"""Timestamps as JSON holds them."""

import pandas as pd

Stamp = str | int


def stamp(moment: pd.Timestamp | int) -> Stamp:
    """Return a row's stamp as JSON holds it: ISO text, or the integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)
