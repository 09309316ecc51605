"""Drawing trials so that what a trial knows depends only on its number, not on timing."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from kallos.study.pruning import PRUNERS
from kallos.study.trials import StudyTrial


class TrialSource:
    """Trials in the order of their numbers, each in a view: an Optuna study in memory in which time stands still.

    In trial n's view the trials up to n - `max_pending_trials` have ended, and the later ones are running. So its
    sampler and pruner see the same history on any number of workers and after any crash. There are
    `max_pending_trials` views, and each serves every `max_pending_trials`-th trial: by then its last trial has ended.
    """

    def __init__(self, study_name: str, *, seed: str, max_pending_trials: int, pruner: str) -> None:
        self._seed = seed
        self._spaces = [IntersectionSearchSpace(include_pruned=True) for _ in range(max_pending_trials)]
        self._views = [
            optuna.create_study(
                study_name=study_name,
                direction="minimize",
                storage=optuna.storages.InMemoryStorage(),
                pruner=PRUNERS[pruner](),
            )
            for _ in range(max_pending_trials)
        ]

    def ask(
        self,
        earlier: Sequence[StudyTrial],
        *,
        begun: FrozenTrial | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> Trial:
        """Return the trial after all `earlier` ones; draw its parameters before asking for another.

        All `earlier` trials but the last `max_pending_trials - 1` must have ended. A trial that an earlier run has
        `begun` keeps its parameters; otherwise `fixed` parameters are not drawn.
        """
        number = len(earlier)
        view, space = self._views[number % len(self._views)], self._spaces[number % len(self._views)]
        n_ended = max(number - len(self._views) + 1, 0)
        held = view.get_trials(deepcopy=False)
        # All but the last few trials in the view have ended in it, too.
        for position in range(max(len(held) - len(self._views), 0), number):
            if position >= len(held):
                view.add_trial(_running(earlier[position].begun))
            if position < n_ended and not (position < len(held) and held[position].state.is_finished()):
                ended = earlier[position].ended
                assert ended is not None
                _end(view, position, ended)
        view.sampler = _SeededSampler(trial_seed(self._seed, number), space)
        if begun is not None:
            view.add_trial(_running(begun))
            return Trial(view, view.get_trials(deepcopy=False)[number]._trial_id)
        if fixed is not None:
            view.enqueue_trial(dict(fixed))
        return view.ask()


class _SeededSampler(optuna.samplers.TPESampler):
    """Optuna's TPE with its own seed for one trial, and the view's shared space, which is costly to find again."""

    def __init__(self, seed: int, space: IntersectionSearchSpace) -> None:
        super().__init__(seed=seed)
        self._shared = space

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are drawn together: those of all trials so far."""
        shared = self._shared.calculate(study)
        return {name: distribution for name, distribution in shared.items() if not distribution.single()}


def trial_seed(study_seed: str, number: int) -> int:
    """Return the seed of a trial's sampler."""
    digest = hashlib.sha256(f"{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _running(begun: FrozenTrial) -> FrozenTrial:
    """Return a trial in the state in which samplers and pruners see it while it runs."""
    return create_trial(
        state=TrialState.RUNNING,
        params=begun.params,
        distributions=begun.distributions,
        system_attrs=begun.system_attrs,
    )


def _end(view: optuna.Study, number: int, ended: FrozenTrial) -> None:
    trial = Trial(view, view.get_trials(deepcopy=False)[number]._trial_id)
    for step, value in ended.intermediate_values.items():
        trial.report(value, step)
    for key, attribute in ended.system_attrs.items():
        trial.storage.set_trial_system_attr(trial._trial_id, key, attribute)
    view.tell(number, ended.value if ended.state is TrialState.COMPLETE else None, state=ended.state)
