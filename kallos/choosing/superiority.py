"""Is the best of all trials better than the baseline, or only the luckiest of many?"""

import numpy as np
import numpy.typing as npt

from kallos.choosing.losses import ALIKE, FoldLosses, Sample, sample_of
from kallos.study.choice import Superiority

Array = npt.NDArray[np.float64]

RESAMPLES = 1000
# With 11 blocks, the best of ten trials that are no better is called better three times as often as it should.
FEWEST_BLOCKS = 12


def superior_ability(
    losses: FoldLosses, baseline: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> Superiority | None:
    """Return the test of superior predictive ability, whose null is that no trial is better than the baseline.

    Hansen (2005), with the consistent p-value. The first forecaster of `losses` is the baseline, the others are the
    trials. Trials of an infinite loss are left out. Returns None if the losses cannot be resampled, or the baseline's
    loss is infinite.
    """
    values = losses.values
    if not losses.can_be_resampled or losses.blocks < FEWEST_BLOCKS or not np.isfinite(values[0]):
        return None
    sample = sample_of(losses.of(np.flatnonzero(np.isfinite(values)).tolist()))
    return Superiority(
        p_value=_p_value(sample, resamples, seed),
        baseline=baseline,
        trials=len(values) - 1,
        block_length=sample.block_length,
        resamples=resamples,
        method=f"test of superior predictive ability, consistent p-value; stationary bootstrap of the origins of each "
        f"fold, {resamples} resamples in blocks of {sample.block_length} on average",
        source="Hansen (2005), Journal of Business & Economic Statistics 23; Politis & Romano (1994), Journal of the "
        "American Statistical Association 89",
    )


def _p_value(sample: Sample, resamples: int, seed: int) -> float:
    from arch.bootstrap import SPA

    from kallos.choosing.resampling import MeansWithinFolds

    better = sample.rows[:, :1] - sample.rows[:, 1:]
    least = ALIKE * float(np.abs(sample.rows).max())
    # A trial that forecasts the same as the baseline is neither better nor worse.
    better = better[:, np.abs(better).max(axis=0) > least]
    if not better.shape[1] or better.mean(axis=0).max() <= 0:
        return 1.0
    bootstrap = MeansWithinFolds(sample.block_length, better, lengths=sample.lengths, seed=seed)
    error = np.sqrt(bootstrap.var(_mean, reps=resamples))
    # arch 8 compares means, whatever `studentize` says; Hansen's statistic has them in units of their standard errors.
    studentised = better / np.maximum(error, least)
    # `nested` takes the variances from the bootstrap, too, and not from differences between folds.
    test = SPA(np.zeros(len(better)), -studentised, reps=resamples, nested=True, seed=seed)
    test.bootstrap = MeansWithinFolds(sample.block_length, studentised, lengths=sample.lengths, seed=seed)
    test.compute()
    return float(test.pvalues["consistent"])


def _mean(rows: Array) -> Array:
    mean: Array = rows.mean(axis=0)
    return mean
