"""The text of a SQL query and its bound parameters."""

import re

PARAMETERS = ("asset_id", "start_date", "end_date")

# A colon or semicolon inside a string, a quoted name or a comment is not a parameter or an end.
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
    """Return the query without its final semicolon.

    Raises `ValueError` if it is empty, has several statements, or uses an unknown parameter.
    """
    ends = [part.start() for part in _PARTS.finditer(query) if part["end"]]
    statement = query[: ends[0]].rstrip() if ends else query.rstrip()
    if not _without_comments(statement):
        raise ValueError("must be a SELECT statement, but is empty")
    if ends and _without_comments(query[ends[0] :]).strip("; \n\t\r"):
        raise ValueError("must be one statement: remove everything after the first ';'")
    for name in _parameters(statement):
        if name not in PARAMETERS:
            raise ValueError(f"must bind only :asset_id, :start_date and :end_date, not :{name}")
    return statement


def parameters_of(query: str) -> list[str]:
    """Return the bound parameters that the query uses, in the order of `PARAMETERS`."""
    named = _parameters(query)
    return [name for name in PARAMETERS if name in named]


def escape_colons(query: str) -> str:
    """Return the query for `sqlalchemy.text`: colons that start no parameter are escaped."""
    return _PARTS.sub(lambda part: part[0] if part["parameter"] else part[0].replace(":", "\\:"), query)


def _parameters(query: str) -> list[str]:
    return [part["parameter"] for part in _PARTS.finditer(query) if part["parameter"]]


def _without_comments(query: str) -> str:
    return _PARTS.sub(lambda part: " " if part["comment"] else part[0], query).strip()
