"""The tree of errors, and checks of arguments that raise them.

KallosError                 one line for the user: the rule, the value, the remedy
├── UsageError              the request is wrong: a flag, a specification, a setting   (exit code 2)
├── DatabaseError           the database cannot be reached, or refuses                 (exit code 1)
├── DataError               the rows or columns are unfit                              (exit code 1)
├── FitError                one fold cannot be fitted: the trial fails without a
│                           retry, and the study goes on
├── StudyError              the study has no result                                    (exit code 1)
├── StorageError            a folder or file cannot be read or written: also an        (exit code 1)
│                           `OSError`, which a retry may fix
└── BrokenPromiseError      an architecture breaks its contract (`kallos.contracts`)
"""

import re
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from kallos.words import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class KallosError(Exception):
    """An error whose message says everything; it is shown without a traceback.

    The message is the `rule` with the value that breaks it, and the `remedy`. Parameters are in backquotes by their
    name in a specification or signature, as in "reduce `n_folds`"; the command line shows them as flags.
    """

    exit_code = 1

    def __init__(self, rule: str, remedy: str = "") -> None:
        super().__init__(f"{rule}; {remedy}" if remedy else rule)
        self.rule, self.remedy = rule, remedy


class UsageError(KallosError):
    """The request itself is wrong."""

    exit_code = 2


class DatabaseError(KallosError):
    """The database cannot be reached, or refuses the request."""


class DataError(KallosError):
    """The rows or columns are unfit for what was asked.

    `place` has the fault and its location, as in the fields of `kallos.checks.Finding`.
    """

    def __init__(self, rule: str, remedy: str = "", **place: Any) -> None:
        super().__init__(rule, remedy)
        self.place = place


def refuse(found: Iterable[KallosError]) -> None:
    """Raise the first of these errors, if there is one."""
    for error in found:
        raise error


class FitError(KallosError):
    """A fold cannot be fitted or scored, and would fail again."""


class StudyError(KallosError):
    """The study has no result."""


class StorageError(KallosError, OSError):
    """A folder or file cannot be read or written, but perhaps later."""


def explain(error: "ValidationError", *place: str, model: "type[BaseModel] | None" = None) -> str:
    """Return pydantic's findings at this place of a specification as one line of field, rule and value.

    For a field that the `model` does not have, the closest one is suggested.
    """
    # A rule of ours that two fields break, such as a metric that is the first objective, is told once.
    findings = {each["msg"] if each["type"] == "value_error" else each["loc"]: each for each in error.errors()[::-1]}
    return "; ".join(_finding(place, model, **each) for each in reversed(findings.values()))


def in_one_line(error: Exception) -> str:
    """Return an error of the user's own code as one line: its type and message, or each of pydantic's findings."""
    findings = getattr(error, "errors", None)
    if findings is None:
        return " ".join(f"{type(error).__name__}: {error}".split())
    messages = (
        ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")]))
        for each in findings()
    )
    return f"{getattr(error, 'title', type(error).__name__)}: {'; '.join(messages)}"


def _fields_of(model: "type[BaseModel]", place: Iterable[int | str]) -> tuple[str, ...]:
    """Return the fields of a model, or of the model at a place within it; empty if there is none."""
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
        return f"{field} is not a field of the specification; remove it, or correct its spelling"
    shown = "" if type == "value_error" else f", not {input!r}"
    joint = " " if rule.startswith("must ") else ": "
    return f"{field}{joint}{rule[0].lower()}{rule[1:]}{shown}"


# Types that messages do not call by their name.
_WORDS: dict[type, str] = {type(None): "None", Integral: "a whole number", Real: "a number"}


def require(kind: type | tuple[type, ...], **given: object) -> None:
    """Raise `UsageError` if an argument has none of these types, suggesting a field of it that has."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    for name, value in given.items():
        if not isinstance(value, kinds):
            parts = getattr(type(value), "model_fields", ())
            inside = next((f"; give its {part!r}" for part in parts if isinstance(getattr(value, part), kinds)), "")
            raise UsageError(f"{name} must be {' or '.join(map(_a, kinds))}, not {_a(type(value))}{inside}")


def require_each(kind: type, **given: object) -> None:
    """Raise `UsageError` if an argument is not a list or tuple of this type."""
    for name, values in given.items():
        if not isinstance(values, list | tuple):
            raise UsageError(f"{name} must be a list of {kind.__name__}, not {_a(type(values))}")
        require(kind, **{f"{name}[{position}]": value for position, value in enumerate(values)})


def require_one_of(choices: tuple[str, ...], **given: object) -> None:
    """Raise `UsageError` if an argument is not one of these words."""
    for name, value in given.items():
        if not isinstance(value, str) or value not in choices:
            raise UsageError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")


def require_whole(least: int, **given: object) -> None:
    """Raise `UsageError` if an argument is not a whole number of at least `least`; True and False are not."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise UsageError(f"{name} must be a whole number of at least {least}, not {value!r}")


def require_number(least: float, **given: object) -> None:
    """Raise `UsageError` if an argument is not a number of at least `least`."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= least:
            raise UsageError(f"{name} must be a number of at least {least}, not {value!r}")


def require_positive(**given: object) -> None:
    """Raise `UsageError` if an argument is not a number above zero."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) > 0:
            raise UsageError(f"{name} must be a number above 0, not {value!r}")


def require_callable(**given: Callable[..., Any] | None) -> None:
    """Raise `UsageError` if an argument is neither None nor callable."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, not {_a(type(value))}")


def _a(kind: type) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
