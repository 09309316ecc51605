"""The pruners that end hopeless trials early."""

from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class FoldPruner(BasePruner):
    """Ends a trial that will hardly become the best one, by its scores on the folds so far.

    Folds are not equally hard, so a trial is compared to the best complete trial on the same folds. The mean difference
    over all `n` folds is expected to be that over the first `k`, with a standard error of

        scatter * sqrt(1 / k - 1 / n)

    where `scatter` is the standard deviation, between folds, of the differences of the complete trials to the best one.
    The trial ends if it is worse by more than `deviations` standard errors. No trial is ended before
    `n_startup_trials` are complete. benchmarks/README.md measures what the rule costs and saves.
    """

    def __init__(self, deviations: float = 1.5, n_startup_trials: int = 4) -> None:
        self._deviations = deviations
        self._n_startup_trials = n_startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end after its last reported fold."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        scored = [
            each.intermediate_values for each in complete if np.isfinite(list(each.intermediate_values.values())).all()
        ]
        if len(scored) < self._n_startup_trials:
            return False
        sign = -1 if study.direction is StudyDirection.MAXIMIZE else 1
        folds, so_far = list(scored[0]), trial.intermediate_values
        losses = sign * np.array([[each[fold] for fold in folds] for each in scored])
        best = losses[losses.mean(axis=1).argmin()]
        differences = losses - best
        within = differences - differences.mean(axis=1, keepdims=True)
        scatter = np.sqrt(np.square(within).sum() / ((len(scored) - 1) * (len(folds) - 1)))
        worse = np.mean([sign * value - best[folds.index(fold)] for fold, value in so_far.items()])
        # Trials that do not differ at all say nothing of how far others may.
        return bool(scatter > 0 and worse > self._deviations * scatter * np.sqrt(1 / len(so_far) - 1 / len(folds)))


PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "folds": FoldPruner,
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
}
