"""What a study names as `module:NAME`: something of the user's own, imported where it is used."""

from importlib import import_module

from kallos.errors import UsageError, in_one_line

_loaded: set[str] = set()


def load_reference(reference: str, field: str, kind: str) -> object:
    """Return what `module:NAME` names; raises `UsageError` if it cannot be imported.

    `field` is that of the specification, and `kind` says what it must name.
    """
    module, _, attribute = reference.partition(":")
    try:
        found: object = getattr(import_module(module), attribute)
    except Exception as error:
        raise UsageError(
            f"{field} must be module:NAME of {kind} that can be imported, and {reference!r} cannot: "
            f"{in_one_line(error)}; its module lies in the folder of the command, or on PYTHONPATH"
        ) from error
    _loaded.add(reference)
    return found


def trust(references: str) -> None:
    """Import what somebody vouches for, several `module:NAME` by commas; raises `UsageError` as above."""
    for reference in references.split(","):
        load_reference(reference.strip(), "`trust_code`", "an architecture or a metric")


def is_loaded(reference: str) -> bool:
    """Return whether this process has been told to import it before: by a command, a study file, or a flow's form."""
    return reference in _loaded
