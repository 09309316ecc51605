"""The trials that cannot be told from the best, and the simplest of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kallos.choosing.losses import FoldLosses, Sample, first_equal, sample_of
from kallos.specs.metrics import Metric
from kallos.study.choice import ConfidenceSet, Simplest
from kallos.study.trials import TrialRecord

Array = npt.NDArray[np.float64]

# Hansen, Lunde & Nason (2011) report sets of 90 %, and of 75 %.
LEVEL = 0.1
# Each trial against the mean of all, or each pair.
Statistic = Literal["max", "R"]
RESAMPLES = 1000
# Far less than `losses.ALIKE`.
_LEAST = 1e-12


def confidence_set(
    trials: Sequence[int],
    losses: FoldLosses,
    *,
    level: float = LEVEL,
    statistic: Statistic = "max",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ConfidenceSet | None:
    """Return the model confidence set, which holds the truly best trial with a probability of 1 - `level`.

    Hansen, Lunde & Nason (2011), with their statistic T_max (or T_R, which compares pairs): as long as trials can be
    told apart, the worst one is removed. `losses` are those of the `trials`, in this order. Trials of equal losses are
    one. The trial of the least mean loss is always in the set, and one of an infinite loss never. Returns None if the
    losses cannot be resampled.
    """
    compared = np.flatnonzero(np.isfinite(losses.values))
    if not losses.can_be_resampled or not len(compared):
        return None
    sample = sample_of(losses.of(compared.tolist()))
    first = first_equal(sample.rows)
    kept = sorted(set(first))
    of_kept = dict(zip(kept, _p_values(sample, kept, level, statistic, resamples, seed), strict=True))
    of_compared = {int(position): of_kept[own] for position, own in zip(compared, first, strict=True)}
    p_values = {number: of_compared.get(position, 0.0) for position, number in enumerate(trials)}
    return ConfidenceSet(
        level=level,
        trials=tuple(number for number, p_value in p_values.items() if p_value > level),
        p_values=p_values,
        distinct=len(kept) + len(trials) - len(compared),
        block_length=sample.block_length,
        resamples=resamples,
        method=f"model confidence set by T_{statistic} at a level of {level:g}; stationary bootstrap of the origins of "
        f"each fold, {resamples} resamples in blocks of {sample.block_length} on average",
        source="Hansen, Lunde & Nason (2011), Econometrica 79; Politis & Romano (1994), Journal of the American "
        "Statistical Association 89",
    )


def simplest(
    confidence: ConfidenceSet,
    trials: Sequence[TrialRecord],
    best: TrialRecord,
    operations_of: Callable[[Mapping[str, Any]], int],
    metric: Metric,
) -> Simplest:
    """Return the trial of the set that needs the fewest operations for a forecast.

    Of trials with as many operations it is the better one, then the earlier. `operations_of` must count the operations
    of a parameter set, not time them, or the choice would depend on the machine.
    """
    near = {trial.number: trial for trial in trials if trial.number in confidence.trials} or {best.number: best}
    operations = {number: operations_of(trial.params) for number, trial in near.items()}
    number = min(near, key=lambda number: (operations[number], metric.as_loss(near[number].only_value), number))
    return Simplest(
        trial=number,
        params=near[number].params,
        value=near[number].only_value,
        operations=operations[number],
        best_operations=operations[best.number] if best.number in operations else operations_of(best.params),
    )


def _p_values(
    sample: Sample, columns: Sequence[int], level: float, statistic: Statistic, resamples: int, seed: int
) -> list[float]:
    """Return the p-values of distinct columns, in their order; a single one cannot be told from itself."""
    if len(columns) == 1:
        return [1.0]
    from arch.bootstrap import MCS

    from kallos.choosing.resampling import WithinFolds

    rows = sample.rows[:, columns]
    # arch divides by zero where losses differ by a constant, and never ends where a column is the mean of the others.
    rows = rows + _LEAST * np.abs(rows).max() * np.random.default_rng(seed).normal(size=rows.shape)
    test = MCS(rows, level, reps=resamples, method=statistic)
    test.bootstrap = WithinFolds(sample.block_length, np.arange(len(rows)), lengths=sample.lengths, seed=seed)
    test.compute()
    return [float(p_value) for p_value in test.pvalues["Pvalue"].sort_index()]
