"""How to install what an extra brings along: no package index has Kallos itself."""

import re
import shlex
from importlib.metadata import requires


def pip_install(package: str) -> str:
    """Return the command that installs the requirements of the extra of that name, with their bounds, or the package.

    An architecture of one's own may need a package of which there is no extra.
    """
    lines = (line.partition(";") for line in requires("kallos") or ())
    of_extra = sorted(
        name.strip() for name, _, marker in lines if re.search(rf"extra == .{re.escape(package)}.$", marker)
    )
    return " ".join(["pip install", *map(shlex.quote, of_extra or [package])])
