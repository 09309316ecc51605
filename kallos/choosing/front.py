"""Several objectives: the trials that no other trial dominates, and the rule that picks one of them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kallos.scoring.metrics import Scores, score_by
from kallos.specs.metrics import metric_of
from kallos.specs.study import TuneSpec
from kallos.study.trials import TrialRecord, complete_trials

Array = npt.NDArray[np.float64]


def front(trials: Sequence[TrialRecord], objectives: Sequence[str]) -> tuple[TrialRecord, ...]:
    """Return the complete trials that no other one dominates, in their order.

    A trial dominates another one if it is no worse by any objective, and better by one. Of trials that are equal in
    all, the first stays. With one objective, the front is the best trial.
    """
    complete = complete_trials(trials)
    losses = _losses([trial.values for trial in complete], objectives)
    return tuple(trial for position, trial in enumerate(complete) if not _is_dominated(losses, position))


def pick(trials: Sequence[TrialRecord], spec: TuneSpec) -> TrialRecord | None:
    """Return the trial that the study's rule picks, or None if no trial is complete.

    By default it is the best by the first objective or, with several, of those on the front within one standard error
    of it (`one_error`) the best by the second, then by the next ones. The number of a complete trial is taken as it is;
    if that trial was pruned or has failed, the rule picks.
    """
    complete = complete_trials(trials)
    if not complete:
        return None
    for trial in complete:
        if trial.number == spec.pick:
            return trial
    first, *others = spec.objectives
    near = complete if spec.pick == "first" else _near_on_front(complete, spec.objectives)
    order = (first, *others) if spec.pick == "first" else (*others, first)
    losses = _losses([trial.values for trial in near], order)
    return min(zip(losses.tolist(), near, strict=True), key=lambda each: (each[0], each[1].number))[1]


def _near_on_front(complete: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    # A trial that is dominated by one that is not near, because it differs from the best more steadily, is left out.
    undominated = {trial.number for trial in front(complete, objectives)}
    return [trial for trial in _within_one_error(complete, objectives[0]) if trial.number in undominated]


def _within_one_error(complete: Sequence[TrialRecord], objective: str) -> list[TrialRecord]:
    """Return the trials whose paired differences to the best over the folds are within one standard error."""
    metric = metric_of(objective)
    folds = np.array(
        [[metric.as_loss(score_by(score.values, objective)) for score in trial.scores] for trial in complete]
    )
    best = folds[int(folds.mean(axis=1).argmin())]
    differences = folds - best
    n_folds = folds.shape[1]
    error = differences.std(axis=1, ddof=1) / np.sqrt(n_folds) if n_folds > 1 else np.zeros(len(folds))
    is_near = differences.mean(axis=1) <= one_error(n_folds) * error
    return [trial for trial, near in zip(complete, is_near, strict=True) if near]


def one_error(n_folds: int) -> float:
    """Return the number of standard errors that count as one if the error is estimated from this many folds.

    A trial that is as good as the best is within one known standard error of it in 84.1 % of cases. With an estimated
    one, it is within this many in as many cases: the 84.1 % quantile of Student's t (1908), "The probable error of a
    mean", is 1.84 for 2 folds, 1.32 for 3, 1.14 for 5, and 1 for many. A single fold has no standard error.
    """
    from scipy.stats import norm, t

    return float(t.ppf(norm.cdf(1), n_folds - 1)) if n_folds > 1 else 1.0


def _losses(values: Sequence[Scores], objectives: Sequence[str]) -> Array:
    """Return numbers of which lower is better, of shape (trials, objectives)."""
    metrics = [metric_of(name) for name in objectives]
    return np.array([[metric.as_loss(score_by(each, metric.name)) for metric in metrics] for each in values]).reshape(
        len(values), len(objectives)
    )


def _is_dominated(losses: Array, position: int) -> bool:
    own = losses[position]
    no_worse = (losses <= own).all(axis=1)
    better = (losses < own).any(axis=1)
    return bool((no_worse & better).any() or (no_worse[:position] & ~better[:position]).any())
