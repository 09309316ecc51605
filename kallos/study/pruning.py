"""The pruners that end hopeless trials early."""

from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class FoldPruner(BasePruner):
    """Ends a trial whose mean over its folds so far is not in the best third of the complete trials on these folds.

    Folds are not equally hard, so means over the same folds are compared. Most complete trials were good enough to
    survive, so the rule gets stricter as the study grows. No trial is ended before `n_startup_trials` are complete.
    benchmarks/README.md measures what the rule costs and saves.
    """

    def __init__(self, best_share: float = 1 / 3, n_startup_trials: int = 4) -> None:
        self._best_share = best_share
        self._n_startup_trials = n_startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end after its last reported fold."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < self._n_startup_trials:
            return False
        folds = list(trial.intermediate_values)
        sign = -1 if study.direction is StudyDirection.MAXIMIZE else 1
        own, *others = (
            sign * np.mean([each.intermediate_values[fold] for fold in folds]) for each in (trial, *complete)
        )
        return bool(own > np.quantile(others, self._best_share))


PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "folds": FoldPruner,
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
}
