"""Ending a trial early: by folds, paired with the best trial so far, or by one of Optuna's own pruners."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from kallos.errors import UsageError, did_you_mean


class FoldPruner(BasePruner):
    """Ends a trial whose folds so far are worse, by `margin` in the mean, than the best trial's on the same folds.

    Folds are not equally hard, so that only the same folds are compared. Nothing is ended before `n_startup_trials`
    trials are complete.
    """

    def __init__(self, margin: float = 0.01, n_startup_trials: int = 5) -> None:
        self._margin = margin
        self._n_startup_trials = n_startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end behind its last reported fold."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < self._n_startup_trials:
            return False
        best = min(complete, key=lambda other: (other.value, other.number))
        folds = trial.intermediate_values.keys() & best.intermediate_values.keys()
        own, others = (np.mean([each.intermediate_values[fold] for fold in folds]) for each in (trial, best))
        return bool(own > (1 + self._margin) * others)


PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "folds": FoldPruner,
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": lambda: optuna.pruners.PercentilePruner(25.0),
    "wilcoxon": optuna.pruners.WilcoxonPruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


def make_pruner(name: str) -> BasePruner:
    """Return a new pruner of that name, or raise `UsageError` with the nearest one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return PRUNERS[name]()
    except KeyError:
        raise UsageError(f"pruner must be a known one, not {name!r}: {did_you_mean(name, PRUNERS)}") from None
