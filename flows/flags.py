"""The command line's flags, made from a specification: one for each field, with nested tables flattened."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic import BaseModel

from kallos.specs.files import merge, read_query_file, read_study_file
from kallos.specs.run import RunSpec
from kallos.specs.study import Choose, TuneSpec, parse_tune_spec

# Fields too long for a command line: their flag takes the path of a file with the text.
_IN_FILES = {"query": "query_file"}

Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True)
class Flag:
    """A flag and the path, from the specification's root, of the field that it sets."""

    path: tuple[str, ...]
    parameter: inspect.Parameter

    @property
    def name(self) -> str:
        """The flag's name as an identifier."""
        return self.parameter.name


def flags_of(model: type[BaseModel], group: str, path: tuple[str, ...] = ()) -> Iterator[Flag]:
    """Yield a flag for each field that a single word can set. Lists and tables can only be set in a study file.

    Every flag is optional and defaults to None: the specification checks that nothing is missing.
    """
    for name, field in model.model_fields.items():
        kind: Any = _without_lists(field.annotation)
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from flags_of(kind, group, (*path, name))
        elif get_origin(kind) not in (tuple, dict):
            default = None if field.is_required() or field.default is False else field.default
            text = f"{field.description}" + ("" if default is None else f" [default: {default}]")
            kind, flag_name = (Path, _IN_FILES[name]) if name in _IN_FILES else (kind, name)
            shown = Parameter(help=text, group=Group(group), negative_bool="no-")
            annotation = Annotated[kind | None, shown]
            yield Flag(
                (*path, name),
                inspect.Parameter(flag_name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation),
            )


def _without_lists(kind: Any) -> Any:
    """Return a field's type without the tuples of a union, since a flag takes one value, and without its bounds.

    The specification checks the bounds: its messages name the field and the rule.
    """
    if get_origin(kind) is Annotated:
        return _without_lists(get_args(kind)[0])
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return reduce(or_, (_without_lists(each) for each in get_args(kind) if get_origin(each) is not tuple))


def nested(flags: list[Flag], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the given flags, nested as in the specification; raises `UsageError` for a missing file."""
    values: dict[str, Any] = {}
    for flag in flags:
        table = values
        for part in flag.path[:-1]:
            table = table.setdefault(part, {})
        value = given.get(flag.name)
        if value is not None:
            table[flag.path[-1]] = read_query_file(value) if flag.path[-1] in _IN_FILES else value
    return values


StudyFile = Annotated[Path | None, Parameter(help="Study file (TOML). Flags override it.")]
FeaturesUrl = Annotated[str | None, Parameter(help="SQLAlchemy URL of the features database. [default: KALLOS_DB_URL]")]
StorageUrl = Annotated[
    str | None, Parameter(help="SQLAlchemy URL of the database of study records. [default: KALLOS_STORAGE_URL]")
]
ResultsFolder = Annotated[
    str | None,
    Parameter(help="Results folder, or its fsspec URL. [default: KALLOS_RESULTS, or else kallos-results]"),
]
TrustCode = Annotated[
    str | None,
    Parameter(
        help="Custom architectures, metrics or losses, module:NAME, that may be imported; separate them by commas."
    ),
]
Seeds = Annotated[
    int | None,
    Parameter(
        help="Number of seeds that each chosen trial is trained with; the forecast is their mean. [default: the "
        "study's]",
        validator=Number(gte=1),
    ),
]
Workers = Annotated[
    int | None, Parameter(help="Processes that fit folds. [default: one per physical core]", validator=Number(gte=1))
]
HowRefitted = Annotated[
    Literal["inner-validation", "median-epochs"],
    Parameter(
        help="How to train on all rows: stop early on the last of them ('inner-validation'), or train for the median "
        "number of epochs of the folds."
    ),
]
HowChosen = Annotated[
    Choose | None,
    Parameter(
        help="What to train: the best trial, the cheapest one that cannot be told from it ('simplest'), or the "
        "weighted mean of several ('ensemble'). [default: what the study chooses]"
    ),
]
SPEC_FLAGS = list(flags_of(TuneSpec, "Study"))
RUN_FLAGS = list(flags_of(RunSpec, "Run"))


def read_spec(study: Path | None, given: Mapping[str, Any]) -> TuneSpec:
    """Return the specification of a study file, overridden by flags; raises `UsageError`."""
    return parse_tune_spec(merge(read_study_file(study) if study else {}, nested(SPEC_FLAGS, given)))


def with_flags(*flags: Flag) -> Callable[[Command], Command]:
    """Return a decorator that adds these flags to a command, which gets their values as `**given`."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [parameter for name, parameter in signature.parameters.items() if name != "given"]
        signature = signature.replace(parameters=[*(flag.parameter for flag in flags), *own])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        return command

    return decorate
