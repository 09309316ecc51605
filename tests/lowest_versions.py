"""Print a constraint for each requirement of pyproject.toml: its lowest version, and of torch the tested one."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def lowest_versions(project: dict[str, Any]) -> Iterator[str]:
    """Yield `name==lowest` for each requirement that has a lower bound, those of the extras too."""
    for requirements in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in requirements:
            bound = re.match(r"([\w-]+)(?:\[[\w,]+\])?(?:.*,)?>=([\w.]+)", requirement)
            if bound and bound[1] != "torch":
                yield f"{bound[1]}=={bound[2]}"


def tested_torch() -> str:
    """Return the constraint of the tested set."""
    return next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print(*sorted({*lowest_versions(project), tested_torch()}), sep="\n")  # noqa: T201
