"""What can go wrong, as one tree.

KallosError                 one line for the user: the rule, the value, the remedy
├── UsageError              the request is wrong: a flag, a specification, a setting   (exit code 2)
├── DatabaseError           the database cannot be reached or refuses                  (exit code 1)
├── DataError               the rows or columns are unfit for tuning                   (exit code 1)
├── FitError                one fold cannot be fitted: a property of the job, so the
│                           trial fails, is not retried, and the study goes on
├── StudyError              the study as a whole has no result                         (exit code 1)
└── BrokenPromiseError      an architecture does not keep to its contract (`kallos.contracts`)

With them stand the checks at the door that raise them: of arguments (`require` and its kin) and of a URL's password.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
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


# SQLAlchemy ends a password at the first @, and takes what stands before an @ for one, a query too.
IN_DATABASES = re.compile(r".*(@|\?.*=)", re.DOTALL)


# The stores' libraries end it as a browser does; a port and a path are none.
IN_STORES = re.compile(r"(?!\d+/).*[@/?#\[\]]", re.DOTALL)


# A login, a host and a database without a mark of a query, and a query of keys and values.
_WITH_QUERY = re.compile(
    r"(?P<plain>[a-z][a-z0-9+]*://([^/?#]*@)?[\w.:\[\]-]*/[\w.%-]*)\?"
    r"(?P<query>[a-z_]+=[^&]*(&[a-z_]+=[^&]*)*)",
    re.DOTALL,
)


# What would follow a password that only looks like all of that: a host with a port or a database.
_HOST = re.compile(r"[\w.\[\]-]*(:\d+$|[:\d]*/)")


def without_query(url: str) -> str:
    """Return a database's URL without a query whose values hold an @; as it is where that may be a password's end."""
    found = _WITH_QUERY.fullmatch(url)
    if found is None or "@" not in found["query"] or _HOST.match(found["query"].rpartition("@")[2]):
        return url
    from psycopg.pq import Conninfo  # It takes a while, and few URLs need it.

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    keys = {pair.partition("=")[0] for pair in found["query"].split("&")}
    return found["plain"] if keys <= known else url


def refuse_unclear_password(url: str, unclear: re.Pattern[str], what: str) -> None:
    """Raise `UsageError`, without showing any of it, for a URL whose password can be read in two ways."""
    rest = url.partition("://")[2]
    user, _, password = rest.rpartition("@")[0].partition(":")
    if "/" not in user and ("?" in user or unclear.match(password)):
        raise UsageError(
            f"the password in {what} must be percent-encoded: write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
            f"[ as %5B, ] as %5D and % as %25"
        )


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
        require(kind, **{f"{name}[{place}]": value for place, value in enumerate(values)})


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


def require_rows(**given: object) -> None:
    """Raise if an argument is no frame of one asset's rows: some, indexed by unique, sorted stamps without a zone.

    Stamps may be integers. Raises `UsageError` for what is no frame, `DataError` for rows that are unfit.
    """
    import pandas as pd

    require(pd.DataFrame, **given)
    for name, frame in given.items():
        _refuse_index(name, frame.index)  # type: ignore[attr-defined]


def require_columns(**given: "pd.DataFrame") -> None:
    """Raise `DataError` if a frame's columns have no names of their own."""
    for name, frame in given.items():
        if odd := [column for column in frame.columns if not isinstance(column, str)]:
            raise DataError(f"the columns of {name} must be named by text, and {shorten(odd, 3)} is none: rename them")
        if not frame.columns.is_unique:
            doubled = frame.columns[frame.columns.duplicated()].unique()
            raise DataError(f"the columns of {name} must have names of their own, and two have {shorten(doubled, 3)}")


def _refuse_index(name: str, index: "pd.Index") -> None:
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        raise DataError(f"the rows of {name} must be those of one asset, and have an index of {index.nlevels} levels")
    if not isinstance(index, pd.DatetimeIndex) and index.dtype.kind not in "iu":
        raise DataError(
            f"the rows of {name} must be indexed by timestamps or integers, not by {index.dtype}: make a DatetimeIndex "
            f"of them by pandas.to_datetime"
        )
    if index.empty:
        raise DataError(f"{name} must have rows, and is empty")
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise DataError(
            f"the timestamps of {name} must have no time zone, and are in {index.tz}: {name}.tz_convert(None) makes "
            f"them UTC, {name}.tz_localize(None) keeps them as they are shown"
        )
    if index.hasnans:
        raise DataError(f"every row of {name} must have a timestamp, and {index.isna().sum()} have none: drop them")
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError(
            f"the rows of {name} must be unique and sorted by their index, and are not: sort them by "
            f"{name}.sort_index(), and drop the doubled"
        )


def _a(kind: type) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
