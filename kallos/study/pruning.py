"""Ending a trial early: by folds, compared with the trials so far on the same ones, or by Optuna's median."""

from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from kallos.errors import UsageError
from kallos.words import did_you_mean


class FoldPruner(BasePruner):
    """Ends a trial that is not among the best third of the complete ones on the folds that it has been through.

    Folds are not equally hard, so that means over the same folds are compared. Of the trials that are complete, most
    have been good enough not to be ended: what is asked of a trial grows with the study. Nothing is ended before
    `n_startup_trials` are complete. What the rule costs and spares was measured: benchmarks/README.md.
    """

    def __init__(self, best_share: float = 1 / 3, n_startup_trials: int = 4) -> None:
        self._best_share = best_share
        self._n_startup_trials = n_startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end behind the last fold that it has reported."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < self._n_startup_trials:
            return False
        folds = list(trial.intermediate_values)
        own, *others = (np.mean([each.intermediate_values[fold] for fold in folds]) for each in (trial, *complete))
        return bool(own > np.quantile(others, self._best_share))


PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "folds": FoldPruner,
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
}


def make_pruner(name: str) -> BasePruner:
    """Return a new pruner of that name, or raise `UsageError` with the nearest one."""
    try:
        return PRUNERS[name]()
    except KeyError:
        raise UsageError(f"pruner must be a known one, not {name!r}: {did_you_mean(name, PRUNERS)}") from None
