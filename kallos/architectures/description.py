"""Describes a search space in words, and as the TOML of a study file."""

import json
from collections.abc import Iterator
from typing import Any

from kallos.architectures.space import Categorical, Constant, Float, Int, Parameter, Product, Space, When
from kallos.architectures.study_space import StudySpace


def described(parameter: Parameter) -> str:
    """Return what a parameter is drawn from in words, such as `int 16 to 64, log`."""
    match parameter:
        case Constant(value=value):
            return f"always {literal(value)}"
        case Product(of=factors):
            return " x ".join(factors)
        case Categorical(choices=choices):
            drawn = f"one of {', '.join(literal(choice) for choice in choices)}"
        case Int() | Float():
            drawn = f"{parameter.type} {parameter.low:g} to {parameter.high:g}"
            drawn += ", log" if parameter.log else ""
            drawn += f", step {parameter.step:g}" if parameter.step not in (None, 1) else ""
    if parameter.when is None:
        return drawn
    return f"{drawn}; {literal(parameter.otherwise)} unless {_condition(parameter.when)}"


def toml_lines(space: StudySpace) -> Iterator[str]:
    """Yield the lines of a study file that set the whole space."""
    for name, own in space.spaces.items():
        yield from _tables(f"space.{_key(name)}" if space.is_choice else "space", own)


def _tables(place: str, space: Space) -> Iterator[str]:
    for name, parameter in space.items():
        yield f"[{place}.{_key(name)}]"
        yield f'type = "{parameter.type}"'
        for field, value in parameter.model_dump(mode="json", exclude_defaults=True).items():
            if field not in ("type", "when", "otherwise"):
                yield f"{field} = {_toml(value)}"
        if isinstance(parameter, Int | Float | Categorical) and parameter.when is not None:
            yield f"when = {_toml(parameter.when.model_dump(mode='json', exclude_none=True))}"
            yield f"otherwise = {_toml(parameter.otherwise)}"
        yield ""


def _condition(when: When) -> str:
    if when.among is not None:
        return f"{when.parameter} is {' or '.join(literal(choice) for choice in when.among)}"
    return f"{when.parameter} > {when.above:g}" if when.above is not None else f"{when.parameter} < {when.below:g}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    # TOML writes text, numbers, true and false as JSON does.
    return json.dumps(value)


def _key(name: str) -> str:
    return name if name.replace("_", "a").replace("-", "a").isalnum() else json.dumps(name)


def literal(value: Any) -> str:
    """Return a value for people: a number without unnecessary digits, and true or false as in TOML."""
    match value:
        case str():
            return value
        case float():
            return f"{value:g}"
        case _:
            return json.dumps(value)
