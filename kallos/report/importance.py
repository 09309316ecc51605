"""The search space that a study's trials drew from, and which of its parameters mattered."""

import warnings
from dataclasses import dataclass
from typing import Literal, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState, create_trial

from kallos.errors import UsageError
from kallos.study.record import quiet_optuna
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord

# With fewer complete trials, the importance of single parameters is noise.
FEWEST_TRIALS = 10

_SEED = 0
_STATES: dict[Literal["complete", "pruned", "failed"], TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Importance:
    """The share of the values' variance that each parameter explains, the largest first.

    `left_out` are the parameters that not every trial draws, which have no share.
    """

    shares: dict[str, float]
    left_out: tuple[str, ...]
    trials: int


def drawn_trials(result: TuningResult) -> list[FrozenTrial]:
    """Return a study's trials in Optuna's form, with the distribution of each parameter.

    Empty if this version of the architecture has other parameters than the trials.
    """
    try:
        with warnings.catch_warnings():
            # Optuna warns of a parameter out of its range before it raises.
            warnings.simplefilter("ignore")
            return [_drawn(trial, result) for trial in result.trials]
    except (ValueError, UsageError):
        return []


def search_space(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter, in the order of drawing."""
    return {name: distribution for trial in trials for name, distribution in trial.distributions.items()}


def importance_of(trials: list[FrozenTrial]) -> Importance | None:
    """Return the importance of the parameters by fANOVA (Hutter et al., 2014).

    None if there are too few complete trials, or all values or all parameters are the same.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if len(complete) < FEWEST_TRIALS or len({trial.value for trial in complete}) < 2:
        return None
    with quiet_optuna():
        study = optuna.create_study(direction="minimize")
        study.add_trials(complete)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not shares:
        return None
    left_out = tuple(name for name in search_space(complete) if name not in shares)
    ordered = sorted(shares.items(), key=lambda share: -share[1])
    return Importance({name: float(share) for name, share in ordered}, left_out, len(complete))


def _drawn(trial: TrialRecord, result: TuningResult) -> FrozenTrial:
    space = result.spec.search_space.clipped(result.longest_input)
    fixed = FixedTrial(space.as_drawn(trial.params))
    space.draw(cast(Trial, fixed))
    return create_trial(
        state=_STATES[trial.state], value=trial.value, params=fixed.params, distributions=fixed.distributions
    )
