"""Searches that are replayed on tables: a sampler's point has the score of the nearest one in the table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from benchmarks.replay.tables import Array, Table
from kallos.architectures.space import Categorical, Float, Int, Space
from kallos.architectures.study_space import ARCHITECTURE, StudySpace
from kallos.study.sampling import trial_seed


@dataclass(frozen=True)
class Pool:
    """The tables of a study's architectures, of which each parameter set is taken once."""

    space: StudySpace
    tables: Mapping[str, Table]

    @cached_property
    def trials(self) -> Mapping[str, list[FrozenTrial]]:
        """Complete trials of each architecture's parameter sets, the defaults first."""
        return {
            name: [self._trial(name, place) for place in range(len(self.tables[name].params))] for name in self.tables
        }

    @cached_property
    def best(self) -> float:
        """The lowest value of all."""
        return min(float(table.values.min()) for table in self.tables.values())

    @cached_property
    def _places(self) -> Mapping[str, Array]:
        return {
            name: np.array([_in_cube(self.space.spaces[name], params) for params in table.params])
            for name, table in self.tables.items()
        }

    def nearest(self, drawn: Mapping[str, Any], used: set[tuple[str, int]]) -> tuple[str, int]:
        """Return the place of the unused set that is nearest to a drawn one of its architecture.

        The distance is Euclidean in the unit cube of the space; another choice of a category is as far as the whole
        range of a number. If all sets of the architecture are used, one of them is taken again.
        """
        name = drawn.get(ARCHITECTURE, next(iter(self.tables)))
        distances = np.square(self._places[name] - _in_cube(self.space.spaces[name], drawn)).sum(axis=1)
        free = [place for place in range(len(distances)) if (name, place) not in used]
        places = free or list(range(len(distances)))
        return name, places[int(np.argmin(distances[places]))]

    def _trial(self, name: str, place: int) -> FrozenTrial:
        table = self.tables[name]
        drawn = table.params[place]
        if self.space.is_choice:
            drawn = {ARCHITECTURE: name, **{f"{name}.{key}": value for key, value in drawn.items()}}
        fixed = FixedTrial(drawn)
        self.space.draw(fixed)  # type: ignore[arg-type]
        return create_trial(params=fixed.params, distributions=fixed.distributions, value=float(table.values[place]))


class Search:
    """The search of an Optuna sampler, which gets a seed of its own for each trial."""

    def __init__(self, space: StudySpace, sampler: Callable[[int], BaseSampler]) -> None:
        self._space, self._sampler = space, sampler
        self._study = optuna.create_study()

    def ask(self, seed: int) -> Mapping[str, Any]:
        """Return the full parameters of a trial; what was asked is taken back, because another point is told."""
        self._study.sampler = self._sampler(seed)
        trial = self._study.ask()
        drawn = self._space.draw(trial)
        self._study.tell(trial, state=TrialState.FAIL)
        return drawn

    def tell(self, trial: FrozenTrial) -> None:
        """Learn how a trial ended."""
        self._study.add_trial(trial)


def joint(seed: int) -> BaseSampler:
    """Return TPE that is joint over the parameters that all trials have: of several architectures, their name alone."""
    return TPESampler(seed=seed, multivariate=True)


def grouped(seed: int) -> BaseSampler:
    """Return TPE that is joint within the parameters of each architecture."""
    return TPESampler(seed=seed, multivariate=True, group=True)


def at_random(seed: int) -> BaseSampler:
    """Return a sampler that learns nothing."""
    return RandomSampler(seed=seed)


SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "TPE": joint,
    "TPE, grouped": grouped,
    "random": at_random,
}
# With one architecture whose parameters have no conditions, both kinds of TPE are the same.
OF_ONE = ("TPE", "random")


def samplers_of(space: StudySpace) -> tuple[str, ...]:
    """Return the names of the samplers that differ in a space."""
    return tuple(SAMPLERS) if space.is_choice else OF_ONE


def regrets(pool: Pool, name: str, seed: int, n_trials: int, *, defaults_first: bool) -> Array:
    """Return by how much the best trial so far is worse than the best of the pool, as a share, after each trial."""
    search = Search(pool.space, SAMPLERS[name])
    first = list(pool.tables) if defaults_first else []
    used: set[tuple[str, int]] = set()
    values = []
    for number in range(n_trials):
        if number < len(first):
            architecture, place = first[number], 0
        else:
            architecture, place = pool.nearest(search.ask(trial_seed(f"replay {seed}", number)), used)
        used.add((architecture, place))
        trial = pool.trials[architecture][place]
        search.tell(trial)
        values.append(trial.value)
    return np.asarray(np.minimum.accumulate(values) / pool.best - 1)


def _in_cube(space: Space, params: Mapping[str, Any]) -> Array:
    return np.array(
        [number for name, parameter in space.items() for number in _coordinates(parameter, params.get(name))]
    )


def _coordinates(parameter: object, value: Any) -> Iterator[float]:
    match parameter:
        case Int() | Float():
            low, high = parameter.ends()
            scale = np.log if parameter.log else float
            yield (scale(value) - scale(low)) / (scale(high) - scale(low)) if high > low else 0.0
        case Categorical():
            # Two choices are at a distance of 1.
            yield from (np.sqrt(0.5) * (value == choice) for choice in parameter.choices)
