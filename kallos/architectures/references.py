"""What a study names as `module:NAME`: something of the user's own, imported where it is used."""

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from kallos.errors import UsageError, in_one_line

_loaded: set[str] = set()
# Of the files of custom modules, as they were loaded: an edit later is no part of what runs.
_texts: dict[Path, bytes] = {}


def load_reference(reference: str, field: str, kind: str) -> object:
    """Return what `module:NAME` names; raises `UsageError` if it cannot be imported.

    `field` is that of the specification, and `kind` says what it must name.
    """
    module, _, attribute = reference.partition(":")
    before = set(sys.modules)
    try:
        found: object = getattr(import_module(module), attribute)
    except Exception as error:
        raise UsageError(
            f"{field} must be module:NAME of {kind} that can be imported, and {reference!r} cannot: "
            f"{in_one_line(error)}; its module lies in the folder of the command, or on PYTHONPATH"
        ) from error
    _loaded.add(reference)
    for file in own_modules(sys.modules.keys() - before):
        # What holds an architecture or a metric is read when that is made.
        _texts.setdefault(file, file.read_bytes())
    return found


def trust(references: str) -> None:
    """Import what somebody vouches for, several `module:NAME` by commas; raises `UsageError` as above."""
    for reference in references.split(","):
        load_reference(reference.strip(), "`trust_code`", "an architecture or a metric")


def is_loaded(reference: str) -> bool:
    """Return whether this process has been told to import it before: by a command, a study file, or a flow's form."""
    return reference in _loaded


def read_loaded(file: str | Path) -> bytes:
    """Return the text of a module that has just been loaded, and remember it."""
    path = Path(file).resolve()
    _texts[path] = path.read_bytes()
    return _texts[path]


def text_as_loaded(file: Path) -> bytes:
    """Return the text of a module as it was when it was loaded, or of one that nobody has read then, as it is now."""
    return _texts.get(file) or file.read_bytes()


def own_modules(names: Iterable[str]) -> Iterator[Path]:
    """Yield the files of those of these loaded modules that belong to no installed package, nor to Python."""
    of_python = Path(sysconfig.get_path("stdlib")).resolve()
    for name in list(names):
        file = Path(getattr(sys.modules.get(name), "__file__", None) or "").resolve()
        is_installed = of_python in file.parents or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
        # What runs a study is no part of it: any command carries it on.
        is_source = file.suffix == ".py" and file.is_file()
        if is_source and not is_installed and name.partition(".")[0] not in ("kallos", "flows", "__main__"):
            yield file
