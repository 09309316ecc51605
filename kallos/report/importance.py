"""The search space as a study's trials have drawn from it, and which of its parameters mattered."""

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

# Fewer complete trials than this say nothing of single parameters.
FEWEST_TRIALS = 10

_SEED = 0
_STATES: dict[Literal["complete", "pruned", "failed"], TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Importance:
    """The share of the values' variance that each parameter explains, the largest first, from so many trials.

    `left_out` are the parameters that not every trial draws: there is no share of theirs.
    """

    shares: dict[str, float]
    left_out: tuple[str, ...]
    trials: int


def drawn_trials(result: TuningResult) -> list[FrozenTrial]:
    """Return a study's trials as Optuna has them, with what each parameter was drawn from.

    Empty if the architecture of this version draws other parameters than the trials have.
    """
    try:
        with warnings.catch_warnings():
            # Of a parameter out of its range, which is an error just below.
            warnings.simplefilter("ignore")
            return [_drawn(trial, result) for trial in result.trials]
    except (ValueError, UsageError):
        return []


def search_space(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return what each parameter was drawn from, in the order in which the first trials drew them."""
    return {name: distribution for trial in trials for name, distribution in trial.distributions.items()}


def importance_of(trials: list[FrozenTrial]) -> Importance | None:
    """Return what the parameters explain, by fANOVA (Hutter et al., 2014), or None from too few complete trials.

    None, too, where all values or all parameters are the same: there is nothing to explain, or nothing to do it by.
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
