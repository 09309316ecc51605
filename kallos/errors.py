"""What can go wrong, as one tree.

KallosError                 one line for the user: the rule, the value, the remedy
├── UsageError              the request is wrong: a flag, a specification, a setting   (exit code 2)
├── DatabaseError           the database cannot be reached or refuses                  (exit code 1)
├── DataError               the rows or columns are unfit for tuning                   (exit code 1)
├── FitError                one fold cannot be fitted: a property of the job, so the
│                           trial fails, is not retried, and the study goes on
├── StudyError              the study as a whole has no result                         (exit code 1)
├── StorageError            a folder or a file in it cannot be read or written: an     (exit code 1)
│                           `OSError` too, which a retry may mend
└── BrokenPromiseError      an architecture does not keep to its contract (`kallos.contracts`)

With them stand the checks of arguments that raise them at the door (`require` and its kin).
"""

import re
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from kallos.words import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class KallosError(Exception):
    """An error that its message explains in full; it is shown without a traceback.

    It is the `rule` with the value that breaks it, and the `remedy`, where that is told apart. What was given, or may
    be given otherwise, stands in backquotes by its name in a specification or a signature, as in "take fewer
    `n_folds`": who asked by a study file, a form or from Python finds it there, and the command line shows it as its
    flag.
    """

    exit_code = 1

    def __init__(self, rule: str, remedy: str = "") -> None:
        super().__init__(f"{rule}; {remedy}" if remedy else rule)
        self.rule, self.remedy = rule, remedy


class UsageError(KallosError):
    """The request itself is wrong."""

    exit_code = 2


class DatabaseError(KallosError):
    """The database cannot be reached, or refuses."""


class DataError(KallosError):
    """The rows or columns are unfit for what was asked.

    `place` says which fault it is, and where, by the fields of `kallos.checks.Finding`.
    """

    def __init__(self, rule: str, remedy: str = "", **place: Any) -> None:
        super().__init__(rule, remedy)
        self.place = place


def refuse(found: Iterable[KallosError]) -> None:
    """Raise the first of the errors that were found, if there is one."""
    for error in found:
        raise error


class FitError(KallosError):
    """A fold cannot be fitted or scored: it will fail the same way each time."""


class StudyError(KallosError):
    """The study has no result."""


class StorageError(KallosError, OSError):
    """A folder, or a file in it, cannot be read or written; it may be so later."""


def explain(error: "ValidationError", *place: str, model: "type[BaseModel] | None" = None) -> str:
    """Return pydantic's findings, which lie at this place of a specification, as one line: field, rule, value.

    Of a field that the `model` does not have, the one that may be meant is named.
    """
    return "; ".join(_finding(place, model, **finding) for finding in error.errors())


def in_one_line(error: Exception) -> str:
    """Return what somebody's own code has raised as one line: its type and message, of pydantic's each finding."""
    findings = getattr(error, "errors", None)
    if findings is None:
        return " ".join(f"{type(error).__name__}: {error}".split())
    messages = (
        ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")]))
        for each in findings()
    )
    return f"{getattr(error, 'title', type(error).__name__)}: {'; '.join(messages)}"


def _fields_of(model: "type[BaseModel]", place: Iterable[int | str]) -> tuple[str, ...]:
    """Return the fields that a model, or what lies at a place within it, has; none where it is no model."""
    within: Any = model
    for part in place:
        field = getattr(within, "model_fields", {}).get(part)
        within = None if field is None else field.annotation
    return tuple(getattr(within, "model_fields", ()))


def _finding(
    place: tuple[str, ...],
    model: "type[BaseModel] | None",
    *,
    loc: tuple[int | str, ...],
    msg: str,
    type: str,
    input: object,
    **_: object,
) -> str:
    field = ".".join(str(part) for part in (*place, *loc)) or "specification"
    rule = re.sub("^(Input|String) should ", "must ", msg.removeprefix("Value error, "))
    if type == "missing":
        given = "" if (*place, *loc)[0] == "space" or not loc else f" as `{loc[-1]}` or"
        return f"{field} is missing: give it{given} in the study file"
    if type == "extra_forbidden":
        known = _fields_of(model, loc[:-1]) if model else ()
        if known:
            return f"{field} is not a field: {did_you_mean(str(loc[-1]), known)}"
        return f"{field} is not a field of the specification: take it out or correct its spelling"
    shown = "" if type == "value_error" else f", not {input!r}"
    joint = " " if rule.startswith("must ") else ": "
    return f"{field}{joint}{rule[0].lower()}{rule[1:]}{shown}"


# What is called otherwise than by the name of its type.
_WORDS: dict[type, str] = {type(None): "None", Integral: "a whole number", Real: "a number"}


def require(kind: type | tuple[type, ...], **given: object) -> None:
    """Raise `UsageError` if an argument is of none of these kinds; of a specification's part, it says where that is."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    for name, value in given.items():
        if not isinstance(value, kinds):
            parts = getattr(type(value), "model_fields", ())
            inside = next((f": give its {part!r}" for part in parts if isinstance(getattr(value, part), kinds)), "")
            raise UsageError(f"{name} must be {' or '.join(map(_a, kinds))}, not {_a(type(value))}{inside}")


def require_each(kind: type, **given: object) -> None:
    """Raise `UsageError` if an argument is no list or tuple of this kind."""
    for name, values in given.items():
        if not isinstance(values, list | tuple):
            raise UsageError(f"{name} must be a list of {kind.__name__}, not {_a(type(values))}")
        require(kind, **{f"{name}[{position}]": value for position, value in enumerate(values)})


def require_one_of(choices: tuple[str, ...], **given: object) -> None:
    """Raise `UsageError` if an argument is none of these words."""
    for name, value in given.items():
        if not isinstance(value, str) or value not in choices:
            raise UsageError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")


def require_whole(least: int, **given: object) -> None:
    """Raise `UsageError` if an argument is no whole number of at least so much; True and False are none."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise UsageError(f"{name} must be a whole number of at least {least}, not {value!r}")


def require_number(least: float, **given: object) -> None:
    """Raise `UsageError` if an argument is no number of at least so much."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= least:
            raise UsageError(f"{name} must be a number of at least {least}, not {value!r}")


def require_positive(**given: object) -> None:
    """Raise `UsageError` if an argument is no number above zero."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) > 0:
            raise UsageError(f"{name} must be a number above 0, not {value!r}")


def require_callable(**given: Callable[..., Any] | None) -> None:
    """Raise `UsageError` if an argument that is given cannot be called."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, not {_a(type(value))}")


def _a(kind: type) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
