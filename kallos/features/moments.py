"""Timestamps as JSON holds them."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    pass


Stamp = str | int


def stamp(moment: pd.Timestamp | int) -> Stamp:
    """Return a row's stamp as JSON holds it: ISO text, or the integer."""
    return moment.isoformat() if isinstance(moment, pd.Timestamp) else int(moment)
