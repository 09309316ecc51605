"""What can go wrong, as one tree.

KallosError                 one line for the user: the rule, the value, the remedy
├── UsageError              the request is wrong: a flag, a specification, a setting   (exit code 2)
├── DatabaseError           the database cannot be reached or refuses                  (exit code 1)
├── DataError               the rows or columns are unfit for tuning                   (exit code 1)
├── FitError                one fold cannot be fitted: a property of the job, so the
│                           trial fails, is not retried, and the study goes on
├── StudyError              the study as a whole has no result                         (exit code 1)
└── BrokenPromiseError      an architecture does not keep to its contract (`kallos.contracts`)
"""

import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class KallosError(Exception):
    """An error that its message explains in full; it is shown without a traceback.

    What was given, or may be given otherwise, stands in backquotes by its name in a specification or a signature, as in
    "take fewer `n_folds`": who asked by a study file, a form or from Python finds it there, and the command line shows
    it as its flag.
    """

    exit_code = 1


class UsageError(KallosError):
    """The request itself is wrong."""

    exit_code = 2


class DatabaseError(KallosError):
    """The database cannot be reached, or refuses."""


class DataError(KallosError):
    """The rows or columns are unfit for what was asked."""


class FitError(KallosError):
    """A fold cannot be fitted or scored: it will fail the same way each time."""


class StudyError(KallosError):
    """The study has no result."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the closest known word as a question, with the words that there are."""
    words = sorted(known)
    by_folded = {each.casefold(): each for each in words}
    close = [by_folded[each] for each in get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.5)]
    choices = f"there are {shorten(words, 12)}" if words else "there are none"
    return f"did you mean {close[0]!r}? ({choices})" if close else choices


def shorten(items: Sequence[object], most: int = 5) -> str:
    """Return the first few items in words, with the number of those left out."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def pasteable(name: str) -> str:
    """Return a column's name as it can be pasted into a study file: as it is if it is one plain word, else in quotes.

    The quotes are TOML's; blanks that a line of text would not keep are written as escapes.
    """
    if re.fullmatch(r"[\w.-]+", name):
        return name
    quoted = json.dumps(name, ensure_ascii=False)
    return re.sub(r"[^\S ]|\x7f|(?<= ) ", lambda blank: f"\\u{ord(blank[0]):04x}", quoted)


def scrubbed(message: str) -> str:
    """Return a message without the user names and passwords of URLs.

    A password may hold any character, a raw @ too: all goes up to the last @ before the next URL, or else in the line.
    """
    login = r"//[^/\s:]*:"
    return re.sub(rf"{login}(?:(?!\s[\w+.-]+://).)*@|{login}.*@", "//***@", message)


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
    said = (
        ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")]))
        for each in findings()
    )
    return f"{getattr(error, 'title', type(error).__name__)}: {'; '.join(said)}"


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
