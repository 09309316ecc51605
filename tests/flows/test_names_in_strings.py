"""Names of modules that stand in strings, in which no import fails: loggers, `-m`, entry points, pages."""

import re
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"(?<![\w./@-])(?:kallos|flows)(?:\.[A-Za-z_]\w*)+(?![\w/(-]*\.(?:db|toml|py)\b)")
# Files and databases, and what a page says of all files of a kind.
ENDINGS = {"db", "py", "pth", "toml", "local", "verdict"}


def texts() -> list[Path]:
    """Return all files that name modules, but for the history."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kinds = {".py", ".md", ".yaml", ".toml", ".service"}
    return [ROOT / name for name in listed if Path(name).suffix in kinds and name != "CHANGELOG.md"]


def is_there(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for position in range(len(parts), 0, -1):
        module = ".".join(parts[:position])
        try:
            found = find_spec(module) is not None
        except ModuleNotFoundError:
            continue
        if found:
            held: object = import_module(module)
            for part in parts[position:]:
                if not hasattr(held, part):
                    return part in getattr(held, "__annotations__", {})
                held = getattr(held, part)
            return True
    return False


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_of_a_module_is_that_of_one_that_is_there(path):
    named = {name for name in NAME.findall(path.read_text()) if name.rpartition(".")[2] not in ENDINGS}

    assert not {name for name in named if not is_there(name)}
