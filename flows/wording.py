"""How commands print: the library's messages with flags in place of fields, and JSON."""

import inspect
import json
import re
import sys
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import rich.console
from cyclopts import Parameter
from rich.text import Text

AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON and nothing else.")]

_FIELD = re.compile(r"`([a-z][a-z0-9_]*)`")


class Console(rich.console.Console):
    """A terminal that prints plain text, without markup, and shows each field in backquotes as its flag."""

    def __init__(self, **settings: Any) -> None:
        """Take rich's settings."""
        super().__init__(**{"highlight": False, "markup": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return text as it is printed."""
        return super().render_str(in_flags(text), **settings)


def say(line: str, style: str | None = None) -> None:
    """Print a line that only the terminal wraps, so that it can be copied."""
    Console(soft_wrap=True).print(line, style=style)


def print_json(document: object) -> None:
    """Print a document as JSON."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def in_flags(message: str) -> str:
    """Replace each field in backquotes by the flag that sets it, such as `n_folds` by --n-folds.

    Other words in backquotes belong to other libraries and stay.
    """
    return _FIELD.sub(_in_flag, message)


def _in_flag(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}" if found[1] in fields_of_commands() else found[0]


@cache
def fields_of_commands() -> frozenset[str]:
    """Return the names of all parameters of all commands."""
    import flows.commands

    modules = [import_module(f"flows.commands.{module.name}") for module in iter_modules(flows.commands.__path__)]
    commands = [command for module in modules for _, command in inspect.getmembers(module, inspect.isfunction)]
    return frozenset(name for command in commands for name in inspect.signature(command).parameters)
