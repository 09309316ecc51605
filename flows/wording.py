"""The library's messages, which name what may be given by its field, in the words of the command line."""

import re


def in_flags(message: str) -> str:
    """Return a message of the library's with each field that it names in backquotes as the flag that sets it."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda field: f"--{field[1].replace('_', '-')}", message)
