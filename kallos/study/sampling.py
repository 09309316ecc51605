"""Drawing trials so that what a trial knows depends only on its number, not on timing."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.search_space.group_decomposed import _SearchSpaceGroup
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from kallos.study.pruning import PRUNERS
from kallos.study.trials import StudyTrial

Direction = Literal["minimize", "maximize"]


class TrialSource:
    """Trials in the order of their numbers, each in a view: an Optuna study in memory in which time stands still.

    In trial n's view the trials up to n - `max_pending_trials` have ended, and the later ones are running. So its
    sampler and pruner see the same history on any number of workers and after any crash. There are
    `max_pending_trials` views, and each serves every `max_pending_trials`-th trial: by then its last trial has ended.
    With several `directions`, one for each objective, the pruner sees no reports, which Optuna refuses then.
    """

    def __init__(
        self,
        study_name: str,
        *,
        seed: str,
        max_pending_trials: int,
        pruner: str,
        directions: Sequence[Direction] = ("minimize",),
    ) -> None:
        self._seed = seed
        self._groups = [_Groups() for _ in range(max_pending_trials)]
        self._views = [
            optuna.create_study(
                study_name=study_name,
                directions=directions,
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
        view, groups = self._views[number % len(self._views)], self._groups[number % len(self._views)]
        n_ended = max(number - len(self._views) + 1, 0)
        held = view.get_trials(deepcopy=False)
        # All but the last few trials in the view have ended in it, too.
        for position in range(max(len(held) - len(self._views), 0), number):
            if position >= len(held):
                view.add_trial(_running(earlier[position].begun))
            if position < n_ended:
                ended = earlier[position].ended
                assert ended is not None
                groups.add(ended)
                # A view's own trial has ended in it before.
                if position >= len(held) or not held[position].state.is_finished():
                    _end(view, position, ended)
        view.sampler = _SeededSampler(trial_seed(self._seed, number), groups)
        if begun is not None:
            view.add_trial(_running(begun))
            return Trial(view, view.get_trials(deepcopy=False)[number]._trial_id)
        if fixed is not None:
            view.enqueue_trial(dict(fixed))
        return view.ask()


class _Groups:
    """The parameters of a view's ended trials, in groups of those that always occur together.

    A drawn architecture is a group of its own, and so are the parameters of each architecture. It is Optuna's
    decomposition, but each kind of trial is added once, because looking at all trials again for each new one is costly.
    """

    def __init__(self) -> None:
        self._groups = _SearchSpaceGroup()
        self._added: set[frozenset[str]] = set()

    def add(self, ended: FrozenTrial) -> None:
        """Add the parameters of a trial, unless it has failed."""
        names = frozenset(ended.distributions)
        if ended.state in (TrialState.COMPLETE, TrialState.PRUNED) and names not in self._added:
            self._added.add(names)
            self._groups.add_distributions(ended.distributions)

    def spaces(self) -> list[dict[str, BaseDistribution]]:
        """Return the parameters of each group that have more than one value, by name, since sets have no order."""
        return [
            {name: distribution for name, distribution in sorted(group.items()) if not distribution.single()}
            for group in self._groups.search_spaces
        ]


class _SeededSampler(optuna.samplers.TPESampler):
    """Optuna's TPE with its own seed for one trial, which draws each of the view's groups jointly.

    The draws are those of `TPESampler(group=True)`. That sampler would find the groups again for each trial, and note
    what it has drawn for architectures that the trial does not have, which later trials would then avoid.
    """

    def __init__(self, seed: int, groups: _Groups) -> None:
        super().__init__(seed=seed, multivariate=True)
        self._groups = groups

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters of all groups."""
        return {name: distribution for group in self._groups.spaces() for name, distribution in group.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return a value for each parameter of the groups, or nothing in the first trials, which draw at random."""
        drawn: dict[str, Any] = {}
        for group in self._groups.spaces():
            drawn.update(self._sample_relative(study, trial, group))
        return drawn


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
    # With several objectives there are none, because Optuna refuses reports then.
    for step, value in ended.intermediate_values.items():
        trial.report(value, step)
    for key, attribute in ended.system_attrs.items():
        trial.storage.set_trial_system_attr(trial._trial_id, key, attribute)
    view.tell(number, ended.values if ended.state is TrialState.COMPLETE else None, state=ended.state)
