"""Finds architectures by name: those of this package, those of other packages, and custom ones."""

import json
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import isfunction
from pkgutil import iter_modules
from typing import Any

import kallos.architectures
from kallos.architectures.inputs import INPUT
from kallos.architectures.recipe import Architecture
from kallos.architectures.references import load_reference
from kallos.architectures.space import KINDS, looked_at, misplaced, uncountable
from kallos.errors import UsageError, in_one_line
from kallos.words import did_you_mean, pip_install, shorten

GROUP = "kallos.architectures"
# Stands for all architectures of this package that need no extra, which are the same on every machine.
AUTO = "auto"


@cache
def registry() -> Mapping[str, Architecture]:
    """Return all architectures by name: those of this package, and those of other packages' entry points.

    Raises `UsageError` if an entry point cannot be loaded, or its name is already used.
    """
    found = dict(_own())
    for name, architecture in _of_entry_points():
        if name in found or name == AUTO:
            raise UsageError(f"architecture names must be unique, and the name of entry point {name!r} is taken")
        found[name] = architecture
    return dict(sorted(found.items()))


def get_architecture(name: str) -> Architecture:
    """Return the architecture with this name, or the one that `module:NAME` is or `module:function` returns.

    Raises `UsageError`, with the closest name, if there is none.
    """
    if ":" in name:
        return _referred(name)
    try:
        return registry()[name]
    except KeyError:
        raise UsageError(
            f"model_name must be a known architecture, not {name!r}: {did_you_mean(name, registry())}"
        ) from None


def is_of_kallos(name: str) -> bool:
    """Return whether an architecture is one of this package."""
    return name in _own()


def architecture_names(model_name: str) -> tuple[str, ...]:
    """Return the sorted names of a study's architectures from `gru`, `gru,lstm,tide` or `auto`."""
    names: set[str] = set()
    for name in _parts(model_name):
        names.update(_auto() if name == AUTO else [name])
    return tuple(sorted(names))


def canonical(model_name: str) -> str:
    """Return the names of a study's architectures in canonical form: sorted and unique.

    Raises `UsageError` for an unknown name.
    """
    parts = _parts(model_name)
    if not parts:
        raise UsageError(f"model_name must name an architecture: {did_you_mean(model_name, registry())}")
    for name in parts:
        if name != AUTO:
            get_architecture(name)
    return ",".join(sorted(name for name in parts if name == AUTO or AUTO not in parts or name not in _auto()))


def beside_source(name: str) -> list[Any]:
    """Return what changes an architecture's fits but may not be in the hash of its source.

    Its `build` may be in another file than the rest: whether it stops early, and the arguments of a partial `build`.
    """
    architecture = get_architecture(name)
    build = architecture.build
    given = [build.args, build.keywords] if isinstance(build, partial) else []
    plain = json.dumps(given, default=lambda value: getattr(value, "__qualname__", type(value).__qualname__))
    return [architecture.stops_early, plain]


def refuse_missing_packages(model_name: str) -> None:
    """Raise `UsageError` if an architecture needs a package that is not installed."""
    for name in architecture_names(model_name):
        package = get_architecture(name).requires
        if package is not None and find_spec(package) is None:
            raise UsageError(f"{name} needs the package {package!r}: {pip_install(package)}")


def _parts(model_name: str) -> set[str]:
    return {part for part in (part.strip() for part in model_name.split(",")) if part}


@cache
def _auto() -> frozenset[str]:
    return frozenset(name for name, architecture in _own().items() if architecture.requires is None)


@cache
def _own() -> Mapping[str, Architecture]:
    modules = (import_module(f"{GROUP}.{module.name}") for module in iter_modules(kallos.architectures.__path__))
    entries = (entry for module in modules for entry in vars(module).values() if isinstance(entry, Architecture))
    return {architecture.name: architecture for architecture in entries}


def _of_entry_points() -> Iterator[tuple[str, Architecture]]:
    for entry in entry_points(group=GROUP):
        try:
            yield entry.name, _made(entry.load(), entry.value)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"an architecture of an installed package must load, and {entry.name} = {entry.value!r} does not: "
                f"{in_one_line(error)}; fix or uninstall it"
            ) from error


@cache
def _referred(reference: str) -> Architecture:
    return _made(load_reference(reference, "model_name", "an architecture"), reference)


def _made(found: object, reference: str) -> Architecture:
    """Return an architecture, or the one that a function returns."""
    # Only functions, not every callable: a name must not run what its module has imported.
    try:
        made = found() if isfunction(found) else found
    except Exception as error:
        raise UsageError(f"{reference!r} must return an architecture, and raises {in_one_line(error)}") from error
    if not isinstance(made, Architecture):
        raise UsageError(
            f"model_name must name a kallos.architectures.Architecture, or a function that returns one, and "
            f"{reference!r} is {type(made).__name__}"
        )
    message = unsound(made)
    if message is not None:
        raise UsageError(f"an architecture {message}: fix {reference!r}")
    return made


def unsound(architecture: Architecture) -> str | None:
    """Return the rule that an architecture breaks, or None if its parts fit together."""
    space, defaults = architecture.space, architecture.defaults
    build = getattr(architecture.build, "func", architecture.build)
    if not isfunction(build):
        return f"must have a function as build, or a partial of one, not {type(build).__name__}"
    if not architecture.source_sha256:
        return "must have its build in a readable file, because its text is part of each fold's cache key"
    for held, words in ((space, "space"), (defaults, "defaults")):
        if INPUT not in held:
            return (
                f"must have {INPUT} in its {words} (the rows that a forecast looks back), and has "
                f"{shorten(list(held), 6) or 'nothing'}"
            )
    strange = [name for name, parameter in space.items() if not isinstance(parameter, tuple(KINDS.values()))]
    if strange:
        kinds = shorten([kind.__name__ for kind in KINDS.values()])
        return f"must have one of {kinds} for each parameter, and {strange[0]!r} has {space[strange[0]]!r}"
    lacking = [name for name in defaults if name not in space]
    if lacking:
        return f"must have each default in its space, and {lacking[0]!r} is only in defaults"
    wrong = misplaced(space)
    if wrong is not None:
        return f"must draw {wrong[1]!r} before {wrong[0]!r}, which depends on it"
    for name in space:
        message = uncountable(space, name)
        if message is not None:
            return f"must have a sound space, and {name!r} {message}"
    seen = {other for parameter in space.values() for other in looked_at(parameter)}
    idle = [name for name in space if name not in defaults and name not in seen]
    if idle:
        return f"must have each parameter in its defaults, and {idle[0]!r} is only in the space"
    return None
