"""The rows that judge a model: seen by no study, forecast from every origin whose horizon lies in them."""

import numpy as np
import numpy.typing as npt

from kallos.baselines.holdout import Holdout
from kallos.errors import DataError
from kallos.folds.grid import fewest_origins

Array = npt.NDArray[np.float64]


def refuse_too_few(holdout: Holdout) -> None:
    """Raise `DataError` if a hold-out has too few origins for a verdict."""
    needed = fewest_origins(holdout.lead, holdout.horizon)
    there = len(holdout.actual)
    if there < needed:
        raise DataError(
            f"a verdict needs {needed} forecast origins, and the hold-out of {holdout.stop - holdout.start} rows has "
            f"{there} with horizon {holdout.horizon}: choose an earlier `test_start_date` or a later `test_end_date`, "
            f"{needed - there} rows more"
        )
