"""Studies whose scores go up: a share of right signs for each trial, beside an error, made without a fit."""

from collections.abc import Callable, Sequence

import numpy as np

from kallos.scoring.job import FoldJob
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult

N_ROWS = 20
# So small beside the forecasts that their error is their size.
_MOVE = 1e-9


def with_signs(job: FoldJob, share: float, error: float = 0.01) -> FoldResult:
    """Return forecasts of which this share of signs is right, and whose RMSE and MAE are this error."""
    moves = np.where(np.arange(N_ROWS) % 2, _MOVE, -_MOVE)[:, None]
    right = np.where(np.arange(N_ROWS) < round(share * N_ROWS), 1.0, -1.0)[:, None]
    asset = AssetForecasts(
        quantiles=(error * right * np.sign(moves))[:, None, :, None],
        observed=moves,
        reference=np.zeros((N_ROWS, 1)),
        unit=np.ones(1),
        change=np.ones(1),
        rows_per_year=np.array([365.25]),
    )
    return FoldResult(FoldFit(epochs=1, best_epoch=1, seconds=2.0), job.fit.levels, np.ones((2, 1, 1)), (asset,))


def by_trial(shares: Sequence[float], errors: Sequence[float] | None = None) -> Callable[[FoldJob], FoldResult]:
    """Return a function that forecasts with the share of right signs, and the error, of each trial by its number."""

    def evaluate(job: FoldJob) -> FoldResult:
        number = int(job.name.split("-")[1]) if job.name.startswith("trial-") else 0
        return with_signs(job, shares[number], 0.01 if errors is None else errors[number])

    return evaluate
