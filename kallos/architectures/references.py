"""Custom code that a study names as `module:NAME`, imported where it is used."""

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from kallos.errors import UsageError, in_one_line

_loaded: set[str] = set()
# Texts of custom modules as they were loaded: a later edit does not change what runs.
_texts: dict[Path, bytes] = {}


def load_reference(reference: str, field: str, kind: str) -> object:
    """Return what `module:NAME` names; raises `UsageError` if it cannot be imported.

    `field` of the specification has the reference, and `kind` says what it must name.
    """
    module, _, attribute = reference.partition(":")
    before = set(sys.modules)
    try:
        found: object = getattr(import_module(module), attribute)
    except Exception as error:
        raise UsageError(
            f"{field} must be the module:NAME of {kind}, and {reference!r} cannot be imported: {in_one_line(error)}; "
            "its module must be in the folder where you run the command, or on PYTHONPATH"
        ) from error
    _loaded.add(reference)
    for file in own_modules(sys.modules.keys() - before):
        # The modules of architectures, metrics and losses are read when these are created.
        _texts.setdefault(file, file.read_bytes())
    return found


def trust(references: str) -> None:
    """Import the trusted `module:NAME`s, separated by commas; raises `UsageError` if one cannot be imported."""
    for reference in references.split(","):
        load_reference(reference.strip(), "`trust_code`", "an architecture, a metric or a loss")


def is_loaded(reference: str) -> bool:
    """Return whether a command, a study file or a flow's form has already made this process import it."""
    return reference in _loaded


def read_loaded(file: str | Path) -> bytes:
    """Return and remember the text of a module that has just been loaded."""
    path = Path(file).resolve()
    _texts[path] = path.read_bytes()
    return _texts[path]


def text_as_loaded(file: Path) -> bytes:
    """Return the text of a module as it was loaded, or as it is now if it was not read then."""
    return _texts.get(file) or file.read_bytes()


def own_modules(names: Iterable[str]) -> Iterator[Path]:
    """Yield the files of these loaded modules that belong neither to an installed package nor to Python."""
    of_python = Path(sysconfig.get_path("stdlib")).resolve()
    for name in list(names):
        file = Path(getattr(sys.modules.get(name), "__file__", None) or "").resolve()
        is_installed = of_python in file.parents or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
        # The code that runs a study is not part of it: any command can continue it.
        is_source = file.suffix == ".py" and file.is_file()
        if is_source and not is_installed and name.partition(".")[0] not in ("kallos", "flows", "__main__"):
            yield file
