"""Logins in URLs: a password that is not percent-encoded ends where its reader says, and what is behind is shown."""

import re

from kallos.errors import UsageError

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
