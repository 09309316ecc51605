"""Logins in URLs: a password that is not percent-encoded ends where its reader says, and what is behind is shown."""

import re

from kallos.errors import UsageError

# SQLAlchemy ends a password at the first @, and takes what stands before an @ for one, a query too.
IN_DATABASES = re.compile(r".*(@|\?.*=)", re.DOTALL)
# The stores' libraries end it as a browser does; a port and a path are none.
IN_STORES = re.compile(r"(?!\d+/).*[@/?#\[\]]", re.DOTALL)


def refuse_unclear_password(url: str, unclear: re.Pattern[str], what: str) -> None:
    """Raise `UsageError`, without showing any of it, for a URL whose password can be read in two ways."""
    rest = url.partition("://")[2]
    user, _, password = rest.rpartition("@")[0].partition(":")
    if "/" not in user and ("?" in user or unclear.match(password)):
        raise UsageError(
            f"the password in {what} must be percent-encoded: write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, "
            f"[ as %5B, ] as %5D and % as %25"
        )
