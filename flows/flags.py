"""The command line's flags, drawn from a specification: one per field, nested tables flattened."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cyclopts import Parameter
from pydantic import BaseModel

from kallos.specs.files import merge, read_query_file, read_study_file
from kallos.specs.study import TuneSpec, parse_tune_spec

# Fields too long for a command line: their flag names a file of the text.
_IN_FILES = {"query": "query_file"}


Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True)
class Flag:
    """A flag and the field that it sets, by its path from the specification's root."""

    path: tuple[str, ...]
    parameter: inspect.Parameter

    @property
    def name(self) -> str:
        """The flag's name as an identifier."""
        return self.parameter.name


def flags_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Flag]:
    """Yield a flag for each field that one word can hold; lists and tables of values belong to the study file.

    Every flag may be left out, and is None then: what is needed is the specification's own affair.
    """
    for name, field in model.model_fields.items():
        kind: Any = _without_lists(field.annotation)
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from flags_of(kind, (*path, name))
        elif get_origin(kind) not in (tuple, dict):
            default = "" if field.is_required() or field.default is None else f" [default: {field.default}]"
            kind, flag_name = (Path, _IN_FILES[name]) if name in _IN_FILES else (kind, name)
            annotation = Annotated[kind | None, Parameter(help=f"{field.description}{default}", show_default=False)]
            parameter = inspect.Parameter(
                flag_name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
            yield Flag((*path, name), parameter)


def _without_lists(kind: Any) -> Any:
    """Return the type of a field that holds one value or a list as that of one value."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return reduce(or_, (each for each in get_args(kind) if get_origin(each) is not tuple))


def nested(flags: list[Flag], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the flags that were given, as the specification nests them.

    Raises `UsageError` if the file that a flag names cannot be read.
    """
    values: dict[str, Any] = {}
    for flag in flags:
        table = values
        for part in flag.path[:-1]:
            table = table.setdefault(part, {})
        value = given.get(flag.name)
        if value is not None:
            table[flag.path[-1]] = read_query_file(value) if flag.path[-1] in _IN_FILES else value
    return values


StudyFile = Annotated[
    Path | None, Parameter(help="TOML file of the specification; flags are laid over it.", show_default=False)
]
FeaturesUrl = Annotated[str | None, Parameter(help="Features database (SQLAlchemy URL).", show_default=False)]
StorageUrl = Annotated[
    str | None, Parameter(help="Database of the studies' records (SQLAlchemy URL).", show_default=False)
]
ResultsFolder = Annotated[
    str | None,
    Parameter(
        help="Folder of the results, or its fsspec URL. [default: KALLOS_RESULTS, else kallos-results]",
        show_default=False,
    ),
]
TrustCode = Annotated[
    str | None,
    Parameter(
        help="module:NAME of your own that the model may import, its architecture or metric; several by commas.",
        show_default=False,
    ),
]
Seeds = Annotated[int, Parameter(help="Networks, each with a seed of its own; the forecast is their mean.")]
HowRefitted = Annotated[
    Literal["inner-validation", "median-epochs"],
    Parameter(help="Stop early on the end of the rows, or train on all of them for the folds' median of epochs."),
]
HowSelected = Annotated[
    Literal["one-se", "best"],
    Parameter(help="Train the cheapest trial within one standard error of the best, or the best itself."),
]
SPEC_FLAGS = list(flags_of(TuneSpec))


def read_spec(study: Path | None, given: Mapping[str, Any]) -> TuneSpec:
    """Return the specification that a study file and the flags laid over it make; raises `UsageError`."""
    return parse_tune_spec(merge(read_study_file(study) if study else {}, nested(SPEC_FLAGS, given)))


def with_flags(*flags: Flag) -> Callable[[Command], Command]:
    """Return a decorator that has a command take these flags, which its `**given` then holds."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [parameter for name, parameter in signature.parameters.items() if name != "given"]
        signature = signature.replace(parameters=[*(flag.parameter for flag in flags), *own])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        return command

    return decorate
