"""Steps of `prefect deploy`, named in prefect.yaml."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kallos.errors import KallosError
from kallos.spec_files import read_study_file
from kallos.specs import Spec, parse_tune_spec
from kallos.study_grid import parse_grid


def read_study(path: str) -> dict[str, Any]:
    """Return a study file as a deployment's parameters: `spec`, with every default filled in, and checked.

    Ends the deployment with a line that names each field at fault: of an exception Prefect would print the traceback.
    """
    return {"spec": _read(path, parse_tune_spec)}


def read_grid(path: str) -> dict[str, Any]:
    """Return a study file with a table `all` as a deployment's parameter `grid`, as `read_study` does."""
    return {"grid": _read(path, parse_grid)}


def _read(path: str, parse: Callable[[dict[str, Any]], Spec]) -> dict[str, Any]:
    try:
        return parse(read_study_file(Path(path))).model_dump(mode="json")
    except KallosError as error:
        sys.exit(f"{path}: {error}")
