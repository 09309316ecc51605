"""What a study draws: the parameters of one architecture, or an architecture among several and then its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kallos.architectures.inputs import INPUT, clipped, longer_than, longest_input, nearest_input, shortest_input
from kallos.architectures.lookup import architecture_names, beside_source, get_architecture
from kallos.architectures.overrides import lay_over
from kallos.architectures.recipe import Params
from kallos.architectures.space import Categorical, Constant, Space, draw, with_factors

if TYPE_CHECKING:
    from optuna import Trial

# The parameter that says which architecture a trial of several has drawn.
ARCHITECTURE = "architecture"

# What Darts refuses: a TCN whose input is not longer than its output, and NLinear's normalisation beside a likelihood.
_LONGER_THAN_HORIZON = "tcn"
_NO_LIKELIHOOD = ("nlinear", "normalize")


@dataclass(frozen=True)
class StudySpace:
    """The search space of each architecture that a study chooses among, by its name.

    With several, a trial draws `architecture` first, and then the parameters of that one, which Optuna knows by names
    such as `gru.hidden_dim`; a set of parameters of such a study says its `architecture`.
    """

    spaces: Mapping[str, Space]

    @property
    def is_choice(self) -> bool:
        """Whether the architecture itself is drawn."""
        return len(self.spaces) > 1

    @property
    def shortest_input(self) -> int:
        """The rows that the shortest input of every architecture fits, whichever is drawn."""
        return max(shortest_input(space) for space in self.spaces.values())

    @property
    def longest_input(self) -> int:
        """The largest `input_chunk_length` that any architecture draws, in rows."""
        return max(longest_input(space) for space in self.spaces.values())

    def draw(self, trial: "Trial") -> dict[str, Any]:
        """Draw a full set of parameters."""
        names = list(self.spaces)
        if not self.is_choice:
            return _as_named(names[0], draw(self.spaces[names[0]], trial))
        name = trial.suggest_categorical(ARCHITECTURE, names)
        return {ARCHITECTURE: name, **_as_named(name, draw(self.spaces[name], trial, f"{name}."))}

    def as_drawn(self, params: Params) -> dict[str, Any]:
        """Return what a trial has drawn, by Optuna's names, from the parameters that came of it."""
        name, own = model_of(next(iter(self.spaces)), params)
        prefix = f"{name}." if self.is_choice else ""
        drawn = {f"{prefix}{key}": value for key, value in with_factors(self.spaces[name], own).items()}
        return {ARCHITECTURE: name, **drawn} if self.is_choice else drawn

    def for_forecasts(self, horizon: int, *, has_quantiles: bool) -> "StudySpace":
        """Return the space without what Darts' models refuse for such forecasts.

        Raises `ValueError`, with the table that is to be given, if nothing is left of a parameter.
        """
        spaces = dict(self.spaces)
        if _LONGER_THAN_HORIZON in spaces:
            name = _LONGER_THAN_HORIZON
            fit = longer_than(spaces[name], horizon)
            if fit is None:
                raise ValueError(
                    f"{name} needs an {INPUT} above the horizon {horizon}, and its space has "
                    f"{longest_input(spaces[name])} at most: give [space.{name}.{INPUT}] low = {horizon + 1} and a "
                    f"high above that"
                )
            spaces[name] = fit
        name, parameter = _NO_LIKELIHOOD
        if has_quantiles and name in spaces:
            if spaces[name][parameter] in (Constant(value=True), Categorical(choices=(True,))):
                raise ValueError(f"likelihood 'quantile' needs [space.{name}] {parameter} = false, not true")
            spaces[name] = {**spaces[name], parameter: Constant(value=False)}
        return StudySpace(spaces)

    def clipped(self, longest: int | None) -> "StudySpace":
        """Return the space with no input longer than that, if it is given; every architecture's shortest fits."""
        if longest is None:
            return self
        return StudySpace({name: clipped(space, longest) for name, space in self.spaces.items()})

    def fitting(self, drawn: Params) -> dict[str, Any]:
        """Return what a trial of a like study has drawn, by Optuna's names, with inputs that are in this space."""
        own = {(f"{name}.{INPUT}" if self.is_choice else INPUT): space for name, space in self.spaces.items()}
        return {name: nearest_input(own[name], value) if name in own else value for name, value in drawn.items()}

    def defaults(self, name: str) -> dict[str, Any]:
        """Return an architecture's default parameters as a trial of this study has them."""
        return {**({ARCHITECTURE: name} if self.is_choice else {}), **get_architecture(name).defaults}

    @property
    def content(self) -> list[Any]:
        """The spaces as plain values, in pairs: what is drawn depends on the order, too."""
        return [[name, list(_dumped(space).items()), beside_source(name)] for name, space in self.spaces.items()]

    def document(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return per architecture and parameter what it is drawn from, and its default, as plain values."""
        return {
            name: {
                parameter: {
                    **content,
                    **({"default": defaults[parameter]} if parameter in defaults else {}),
                }
                for parameter, content in _dumped(space).items()
            }
            for name, space in self.spaces.items()
            for defaults in [get_architecture(name).defaults]
        }


def study_space(model_name: str, tables: Mapping[str, Any] | None = None) -> StudySpace:
    """Return the space of a study of these architectures, with the tables of its file laid over the recipes' own.

    A table is that of a parameter, for each architecture that has it, or that of an architecture and holds tables of
    its parameters. Raises pydantic's `ValidationError`, with the place of each fault.
    """
    names = architecture_names(model_name)
    return StudySpace(lay_over({name: get_architecture(name) for name in names}, tables or {}))


def model_of(model_name: str, params: Params) -> tuple[str, dict[str, Any]]:
    """Return the architecture of a trial's parameters, and those that `create_model` takes for it."""
    name = params.get(ARCHITECTURE, model_name)
    return str(name), {key: value for key, value in params.items() if key != ARCHITECTURE}


def as_drawn(model_name: str, architecture: str, params: Params) -> dict[str, Any]:
    """Return a trial's parameters from those of its architecture: what `model_of` takes apart."""
    return {**({} if architecture == model_name else {ARCHITECTURE: architecture}), **params}


def _as_named(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that the architecture's `build` takes, without those that only others are made of."""
    return {parameter: values[parameter] for parameter in get_architecture(name).defaults}


def _dumped(space: Space) -> dict[str, Any]:
    return {
        name: {"type": parameter.type, **parameter.model_dump(mode="json", exclude_defaults=True)}
        for name, parameter in space.items()
    }
