"""The command line, `kallos-run`. A command is imported only when it is called, so that help is quick."""

import ast
import sys
from functools import cache
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter

from flows.wording import in_flags
from kallos import __version__
from kallos.errors import KallosError
from kallos.words import scrubbed

# The commands of each group, in the order of use.
_GROUPS = {
    "Tune": ("ingest", "check", "audit", "space", "tune", "tune-all", "studies", "report", "dashboard", "cache"),
    "Judge": ("repro", "train", "evaluate", "predict", "models"),
    "Run nightly": ("nightly", "serve", "doctor"),
}
# The commands that have commands of their own.
_NESTED = {
    "studies": (
        "List, show, compare, rescore and delete recorded studies.",
        ("list", "show", "compare", "rescore", "delete"),
    ),
    "cache": ("Show the size of the fold cache and the snapshots, and prune them.", ("info", "prune")),
    "models": (
        "Manage the registry of models: challengers, champions, retired models.",
        ("list", "show", "add", "promote", "roll-back", "retire"),
    ),
}


@cache
def _docstrings(module: str) -> dict[str, str]:
    """Return the docstrings of a command module's functions from its source, because importing it would be slow."""
    tree = ast.parse((Path(__file__).parent / "commands" / f"{module}.py").read_text(encoding="utf-8"))
    return {each.name: ast.get_docstring(each) or "" for each in tree.body if isinstance(each, ast.FunctionDef)}


def _add(app: App, module: str, name: str, **settings: Any) -> None:
    """Add a command whose function in the module has the command's name."""
    function = "list_all" if name == "list" else name.replace("-", "_")
    text = _docstrings(module)[function]
    app.command(f"flows.commands.{module}:{function}", name=name, help=text, **settings)


def _shown_default(value: object) -> str | None:
    return None if value is None or value is False or value == () else str(value)


app = App(
    name="kallos-run",
    version=__version__,
    help="Tune forecasting models on tables of financial features, and judge them honestly.",
    default_parameter=Parameter(negative_bool="", negative_iterable="", show_default=_shown_default),
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _title, _names in _GROUPS.items():
    _group = Group.create_ordered(_title)
    for _position, _name in enumerate(_names):
        if _name not in _NESTED:
            _add(app, _name.replace("-", "_"), _name, group=_group, sort_key=_position)
            continue
        _text, _own = _NESTED[_name]
        app.command(_below := App(name=_name, help=_text, group=_group, sort_key=_position))
        for _number, _below_name in enumerate(_own):
            _add(_below, _name, _below_name, sort_key=_number)
app["--help"].group = app["--version"].group = Group.create_ordered("Options")


def main() -> None:
    """Run a command. Exit code 0: success, 1: failure, 2: wrong usage, 130 or 143: interrupted."""
    # The module of a custom architecture, `module:NAME`, may be in the current folder; installed modules come first.
    sys.path.append("")
    try:
        app()
    except CycloptsError as error:
        _leave(" ".join(str(error).split()), 2)
    except KallosError as error:
        _leave(str(error), error.exit_code)
    except (OSError, MemoryError) as error:
        _leave(f"the operating system failed: {type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message: str, code: int) -> None:
    sys.stderr.write(f"kallos-run: {in_flags(scrubbed(message))}\n")
    sys.exit(code)
