"""Changes the search spaces of recipes by the tables of a study file, and reports each fault with its place."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from kallos.architectures.inputs import INPUT
from kallos.architectures.lookup import registry
from kallos.architectures.losses import MSE
from kallos.architectures.recipe import Architecture
from kallos.architectures.space import (
    KINDS,
    Categorical,
    Constant,
    Parameter,
    Product,
    Space,
    can_be,
    extent,
    misplaced,
    uncountable,
)
from kallos.words import did_you_mean

FieldPath = tuple[str, ...]

# Parameters that are shares, and so at most 1.
_SHARES = ("dropout", "colsample_bytree", "lr_decay")


def lay_over(chosen: Mapping[str, Architecture], tables: Mapping[str, Any], loss: str = MSE) -> dict[str, Space]:
    """Return the space of each chosen architecture, changed by the tables of parameters and architectures.

    The chosen ones have the parameters of the loss. Tables of other known architectures are also validated, but change
    nothing. Raises `ValidationError` with all faults
    and their places.
    """
    faults: list[InitErrorDetails] = []
    known = {**{name: each.with_loss(loss) for name, each in registry().items()}, **chosen}
    general = {name: value for name, value in tables.items() if name not in known}
    for name, value in general.items():
        if not any(name in architecture.space for architecture in chosen.values()):
            parameters = {parameter for architecture in chosen.values() for parameter in architecture.space}
            message = f"must be a parameter of {' or '.join(chosen)}"
            if isinstance(value, Mapping):
                message, parameters = f"{message}, or an architecture", parameters | known.keys()
            faults.append(_fault((name,), f"{message}: {did_you_mean(name, parameters)}", value))
    laid = {}
    for name, architecture in {**chosen, **{name: known[name] for name in tables if name in known}}.items():
        own = tables.get(name, {})
        if not isinstance(own, Mapping):
            faults.append(_fault((name,), "must be a table of the architecture's parameters", own))
            own = {}
        for parameter, value in own.items():
            if parameter not in architecture.space:
                message = f"must be a parameter of {name}: {did_you_mean(parameter, architecture.space)}"
                faults.append(_fault((name, parameter), message, value))
        laid[name] = _laid_over(name, architecture, general if name in chosen else {}, own, faults)
    if faults:
        raise ValidationError.from_exception_data("space", faults)
    return {name: laid[name] for name in chosen}


def _laid_over(
    name: str,
    architecture: Architecture,
    general: Mapping[str, Any],
    own: Mapping[str, Any],
    faults: list[InitErrorDetails],
) -> Space:
    space = dict(architecture.space)
    places: dict[str, FieldPath] = {}
    before = len(faults)
    laid: tuple[tuple[FieldPath, Mapping[str, Any]], ...] = (((), general), ((name,), own))
    for place, tables in laid:
        for parameter, table in tables.items():
            if parameter in architecture.space:
                places[parameter] = (*place, parameter)
                try:
                    space[parameter] = _parameter(space[parameter], table)
                except ValidationError as error:
                    faults.extend(_moved(error, places[parameter]))
                    continue
                message = _unfit(parameter, space[parameter], architecture)
                if message is not None:
                    faults.append(_fault(places[parameter], message, table))
    wrong = misplaced(space) if len(faults) == before else None
    if wrong is not None:
        parameter, other = wrong
        earlier = list(space)[: list(space).index(parameter)]
        message = f"must depend on a parameter that is drawn before it, not {other!r}: {did_you_mean(other, earlier)}"
        faults.append(_fault(places.get(parameter, (parameter,)), message, other))
    if len(faults) == before:
        for parameter in space:
            ill = _ill_composed(parameter, space, architecture)
            if ill is not None:
                faults.append(_fault(places.get(parameter, (parameter,)), ill, None))
                break  # Parameters that depend on it would only repeat the fault.
    return space


def _ill_composed(name: str, space: Space, architecture: Architecture) -> str | None:
    """Return what is wrong with a product or condition, given the possible values of other parameters, or None."""
    parameter = space[name]
    message = uncountable(space, name)
    if message is not None:
        return message
    if isinstance(parameter, Product):
        return _unfit_values(name, extent(space, name), architecture)
    when = getattr(parameter, "when", None)
    # A recipe's own condition may depend on a parameter that a study file has fixed to another value.
    if when is None or when.among is None or when == getattr(architecture.space[name], "when", None):
        return None
    never = [value for value in when.among if not can_be(space, when.parameter, value)]
    return f"must name values that {when.parameter!r} can have, not {never[0]!r}" if never else None


def _parameter(base: Parameter, given: Any) -> Parameter:
    """Return a parameter as a study file changes it.

    A value fixes it, a list gives its choices, a table with a `type` replaces the recipe's, and one without changes it.
    """
    if not isinstance(given, Mapping):
        return _validated("categorical", {"choices": given}) if isinstance(given, list | tuple) else _fixed(given)
    if "type" in given:
        if given["type"] not in KINDS:
            raise _at("type", f"must be a known type, not {given['type']!r}: {did_you_mean(str(given['type']), KINDS)}")
        return _validated(given["type"], given)
    if isinstance(base, Constant | Product):
        raise _at("type", f"must be given, because the recipe does not draw this parameter: {did_you_mean('', KINDS)}")
    return _validated(base.type, {**base.model_dump(exclude_unset=True), **given})


def _fixed(value: Any) -> Parameter:
    try:
        return Constant(value=value)
    except ValidationError:
        raise _at(None, f"must be a table, a list of choices, or a fixed value, not {value!r}") from None


def _validated(kind: str, content: Mapping[str, Any]) -> Parameter:
    fields = KINDS[kind].model_fields
    unknown = [name for name in content if name not in fields]
    if unknown:
        raise _at(unknown[0], f"must be a field of type {kind!r}: {did_you_mean(unknown[0], fields)}")
    return KINDS[kind].model_validate({**content, "type": kind})


def _unfit(name: str, parameter: Parameter, architecture: Architecture) -> str | None:
    """Return what is wrong with a parameter if its values have another type than the recipe's or are too low."""
    if name == INPUT and (isinstance(parameter, Product) or getattr(parameter, "when", None) is not None):
        return "must be drawn without a condition, or fixed"
    if isinstance(parameter, Product):
        return None
    return _unfit_values(name, extent({name: parameter}, name), architecture)


def _unfit_values(name: str, values: Sequence[Any], architecture: Architecture) -> str | None:
    base = architecture.space[name]
    own = [] if isinstance(base, Product) else list(extent(architecture.space, name))
    default = architecture.defaults.get(name, own[0] if own else None)
    if default is None:
        return None
    fit = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}[type(default)]
    words = {bool: "true or false", int: "whole numbers", float: "numbers", str: "text"}[type(default)]
    wrong = [value for value in values if type(value) not in fit]
    if wrong:
        return f"must be {words}, not {wrong[0]!r}"
    if isinstance(base, Categorical) and type(default) is str:
        strange = [value for value in values if value not in own]
        if strange:
            return f"must be a choice of the recipe, not {strange[0]!r}: {did_you_mean(strange[0], own)}"
        return None
    least = _least([*own, default])
    if least is not None and min(values) < least:
        return f"must be {least} or more, not {min(values)}"
    if name in _SHARES and type(default) in (int, float) and max(values) > 1:
        return f"must be 1 or less, not {max(values)}"
    return None


def _least(own: list[Any]) -> int | None:
    """Return the lower bound of a recipe's own values, which others must keep: 1 for counts, 0 for sizes, or None."""
    if not all(type(value) in (int, float) for value in own):
        return None
    bounds = (1, 0) if all(type(value) is int for value in own) else (0,)
    return next((bound for bound in bounds if min(own) >= bound), None)


def _moved(error: ValidationError, place: FieldPath) -> Iterator[InitErrorDetails]:
    for found in error.errors():
        message = PydanticCustomError(found["type"], _literal(found["msg"]))
        yield InitErrorDetails(type=message, loc=(*place, *found["loc"]), input=found["input"])


def _fault(place: FieldPath, message: str, value: Any) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("value_error", _literal(message)), loc=place, input=value)


def _at(field: str | None, message: str) -> ValidationError:
    return ValidationError.from_exception_data("parameter", [_fault((field,) if field else (), message, None)])


def _literal(message: str) -> Any:
    # Pydantic takes messages as templates, and this one may quote the user.
    return message.replace("{", "(").replace("}", ")")
