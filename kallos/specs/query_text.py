"""The text of a user's own query: one statement, and which of the bound parameters it names."""

import re

PARAMETERS = ("asset_id", "start_date", "end_date")

# A colon or semicolon inside a string, a quoted name or a comment is neither a parameter nor an end.
_PARTS = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/)
    | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
    | ::
    | (?<!\w):(?P<parameter>[A-Za-z_]\w*)
    | :
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)


def one_statement(query: str) -> str:
    """Return the query without what ends it.

    Raises `ValueError` if it is empty, more than one statement, or names a parameter that there is not.
    """
    ends = [part.start() for part in _PARTS.finditer(query) if part["end"]]
    statement = query[: ends[0]].rstrip() if ends else query.rstrip()
    if not _without_comments(statement):
        raise ValueError("must be a SELECT statement, and is empty")
    if ends and _without_comments(query[ends[0] :]).strip("; \n\t\r"):
        raise ValueError("must be one statement: take out what follows the first ';'")
    for name in _parameters(statement):
        if name not in PARAMETERS:
            raise ValueError(
                f"must bind no other parameters than :asset_id, :start_date and :end_date, and binds :{name}"
            )
    return statement


def parameters_of(query: str) -> list[str]:
    """Return those of the bound parameters that the query names, in the order of `PARAMETERS`."""
    named = _parameters(query)
    return [name for name in PARAMETERS if name in named]


def escape_colons(query: str) -> str:
    """Return the query as `sqlalchemy.text` takes it: every colon that starts no parameter behind a backslash."""
    return _PARTS.sub(lambda part: part[0] if part["parameter"] else part[0].replace(":", "\\:"), query)


def _parameters(query: str) -> list[str]:
    return [part["parameter"] for part in _PARTS.finditer(query) if part["parameter"]]


def _without_comments(query: str) -> str:
    return _PARTS.sub(lambda part: " " if part["comment"] else part[0], query).strip()
