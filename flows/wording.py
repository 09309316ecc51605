"""What commands print: the library's messages in the words of the command line, and documents as JSON."""

import inspect
import json
import re
import sys
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import rich.console
from rich.text import Text

_FIELD = re.compile(r"`([a-z][a-z0-9_]*)`")


class Console(rich.console.Console):
    """A terminal on which plain text, which may come from the library, is shown in the words of the command line."""

    def __init__(self, **settings: Any) -> None:
        """Take rich's settings; text is neither markup nor highlighted."""
        super().__init__(**{"highlight": False, "markup": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return text as it is shown."""
        return super().render_str(in_flags(text), **settings)


def print_json(document: object) -> None:
    """Print a document as JSON, and nothing else."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def in_flags(message: str) -> str:
    """Return a message with each field that it names in backquotes as the flag that sets it.

    Other words in backquotes are other libraries', and stay as they are.
    """
    return _FIELD.sub(_in_flag, message)


def _in_flag(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}" if found[1] in fields_of_commands() else found[0]


@cache
def fields_of_commands() -> frozenset[str]:
    """Return all that a command of `kallos-run` can be given, by its name as an identifier."""
    import flows.commands

    modules = [import_module(f"flows.commands.{module.name}") for module in iter_modules(flows.commands.__path__)]
    commands = [command for module in modules for _, command in inspect.getmembers(module, inspect.isfunction)]
    return frozenset(name for command in commands for name in inspect.signature(command).parameters)
