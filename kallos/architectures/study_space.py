"""What a study draws: the parameters of one architecture, or one of several architectures and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kallos.architectures.inputs import INPUT, clipped, longer_than, longest_input, nearest_input, shortest_input
from kallos.architectures.lookup import architecture_names, beside_source, get_architecture
from kallos.architectures.overrides import lay_over
from kallos.architectures.recipe import Architecture, Params
from kallos.architectures.space import Categorical, Constant, Drawn, Space, draw, resolve, with_factors

if TYPE_CHECKING:
    from optuna import Trial

# The parameter for the architecture that a trial has drawn from several.
ARCHITECTURE = "architecture"

# Darts rejects a TCN whose input is not longer than its output, and NLinear's normalisation with a likelihood.
_LONGER_THAN_HORIZON = "tcn"
_NO_LIKELIHOOD = ("nlinear", "normalize")


@dataclass(frozen=True)
class StudySpace:
    """The search space of each architecture of a study, by name.

    If there are several, a trial first draws `architecture`, which becomes one of its parameters, and then the
    parameters of that one, which Optuna knows by names such as `gru.hidden_dim`.
    """

    spaces: Mapping[str, Space]

    @property
    def is_choice(self) -> bool:
        """Whether the architecture itself is drawn."""
        return len(self.spaces) > 1

    @property
    def shortest_input(self) -> int:
        """The rows that the shortest input of every architecture needs at most."""
        return max(shortest_input(space) for space in self.spaces.values())

    @property
    def longest_input(self) -> int:
        """The largest `input_chunk_length` of any architecture, in rows."""
        return max(longest_input(space) for space in self.spaces.values())

    def draw(self, trial: "Trial") -> dict[str, Any]:
        """Draw a full set of parameters."""
        names = list(self.spaces)
        if not self.is_choice:
            return _as_named(names[0], draw(self.spaces[names[0]], trial))
        name = trial.suggest_categorical(ARCHITECTURE, names)
        return {ARCHITECTURE: name, **_as_named(name, draw(self.spaces[name], trial, f"{name}."))}

    def as_drawn(self, params: Params) -> dict[str, Any]:
        """Return what a trial drew, by Optuna's names, from the resulting parameters."""
        name, own = model_of(next(iter(self.spaces)), params)
        prefix = f"{name}." if self.is_choice else ""
        drawn = {f"{prefix}{key}": value for key, value in with_factors(self.spaces[name], own).items()}
        return {ARCHITECTURE: name, **drawn} if self.is_choice else drawn

    def for_forecasts(self, horizon: int, *, has_quantiles: bool, has_known: bool) -> "StudySpace":
        """Return the space without values that do not suit such forecasts: those that Darts' models reject, and with
        columns that are known ahead the inputs of models that would miss some of them.

        Raises `ValueError`, with the table to set, if no value of a parameter remains.
        """
        spaces = dict(self.spaces)
        for name, space in self.spaces.items():
            shortest = _shortest_input(get_architecture(name), horizon, has_known=has_known)
            fit = longer_than(space, shortest - 1)
            if fit is None:
                raise ValueError(
                    f"{name} needs an {INPUT} of {shortest} or more for the horizon {horizon}, and its space has at "
                    f"most {longest_input(space)}: set [space.{name}.{INPUT}] low = {shortest} and a larger high"
                )
            spaces[name] = fit
        name, parameter = _NO_LIKELIHOOD
        if has_quantiles and name in spaces:
            if spaces[name][parameter] in (Constant(value=True), Categorical(choices=(True,))):
                raise ValueError(f"likelihood 'quantile' needs [space.{name}] {parameter} = false, not true")
            spaces[name] = {**spaces[name], parameter: Constant(value=False)}
        return StudySpace(spaces)

    def clipped(self, longest: int | None) -> "StudySpace":
        """Return the space without longer inputs, if a limit is given; every architecture's shortest must fit."""
        if longest is None:
            return self
        return StudySpace({name: clipped(space, longest) for name, space in self.spaces.items()})

    def fitting(self, drawn: Params) -> dict[str, Any]:
        """Return what a trial of a similar study drew, by Optuna's names, with inputs from this space."""
        own = {(f"{name}.{INPUT}" if self.is_choice else INPUT): space for name, space in self.spaces.items()}
        return {name: nearest_input(own[name], value) if name in own else value for name, value in drawn.items()}

    def defaults(self, name: str) -> dict[str, Any]:
        """Return an architecture's default parameters as those of a trial, each at the nearest value of this space."""
        return {**({ARCHITECTURE: name} if self.is_choice else {}), **_as_named(name, self._default(name)[0])}

    def default_draws(self) -> tuple[dict[str, Any], ...]:
        """Return what a trial with the defaults of each architecture draws, by Optuna's names."""
        if not self.is_choice:
            return tuple(self._default(name)[1] for name in self.spaces)
        return tuple(
            {ARCHITECTURE: name, **{f"{name}.{key}": value for key, value in self._default(name)[1].items()}}
            for name in self.spaces
        )

    def _default(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return all values of the space by default, and those among them that are drawn."""
        space, drawn = self.spaces[name], {}
        wanted = with_factors(space, get_architecture(name).defaults)

        def choose(parameter: str, among: Drawn) -> Any:
            drawn[parameter] = among.nearest(wanted.get(parameter, among.ends()[0]))
            return drawn[parameter]

        return resolve(space, choose), drawn

    @property
    def content(self) -> list[Any]:
        """The spaces as plain values, in pairs, because what is drawn depends on their order too."""
        return [[name, list(_dumped(space).items()), beside_source(name)] for name, space in self.spaces.items()]

    def document(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what each parameter of each architecture is drawn from, and its default, as plain values."""
        documents = {name: _dumped(space) for name, space in self.spaces.items()}
        for name, document in documents.items():
            for parameter, default in _as_named(name, self._default(name)[0]).items():
                document[parameter]["default"] = default
        return documents


def _shortest_input(architecture: Architecture, horizon: int, *, has_known: bool) -> int:
    """Return how many rows the input of such forecasts must have."""
    if architecture.name == _LONGER_THAN_HORIZON:
        return horizon + 1
    reads_through_input = has_known and not (architecture.takes_future_covariates or architecture.is_local)
    return horizon if reads_through_input else 1


def study_space(model_name: str, tables: Mapping[str, Any] | None = None) -> StudySpace:
    """Return the space of a study of these architectures, changed by the tables of its study file.

    A table belongs to a parameter of any architecture, or to an architecture and has tables of its parameters. Raises
    pydantic's `ValidationError`, with the place of each fault.
    """
    names = architecture_names(model_name)
    return StudySpace(lay_over({name: get_architecture(name) for name in names}, tables or {}))


def model_of(model_name: str, params: Params) -> tuple[str, dict[str, Any]]:
    """Return the architecture of a trial's parameters, and the parameters that `create_model` takes for it."""
    name = params.get(ARCHITECTURE, model_name)
    return str(name), {key: value for key, value in params.items() if key != ARCHITECTURE}


def as_drawn(model_name: str, architecture: str, params: Params) -> dict[str, Any]:
    """Return a trial's parameters from an architecture and its parameters: the inverse of `model_of`."""
    return {**({} if architecture == model_name else {ARCHITECTURE: architecture}), **params}


def _as_named(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that the architecture's `build` takes, without mere factors of products."""
    return {parameter: values[parameter] for parameter in get_architecture(name).defaults}


def _dumped(space: Space) -> dict[str, dict[str, Any]]:
    return {
        name: {"type": parameter.type, **parameter.model_dump(mode="json", exclude_defaults=True)}
        for name, parameter in space.items()
    }
