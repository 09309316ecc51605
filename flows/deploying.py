"""Steps of `prefect deploy`, named in prefect.yaml."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kallos.errors import KallosError
from kallos.specs.data import Spec
from kallos.specs.files import read_study_file
from kallos.specs.grid import parse_grid
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec, parse_tune_spec


def read_study(path: str, run: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a study file as a deployment's parameters: `spec` with all defaults, and `run` as given.

    An invalid field ends the deployment with one line, because Prefect would print an exception's traceback.
    """
    return {"spec": _read(path, parse_tune_spec), "run": _checked(run or {})}


def read_grid(path: str, run: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a study file with a table `all` as a deployment's parameters: `grid` and `run`."""
    return {"grid": _read(path, parse_grid), "run": _checked(run or {})}


def _read(path: str, parse: Callable[[dict[str, Any]], Spec]) -> dict[str, Any]:
    try:
        return parse(read_study_file(Path(path))).model_dump(mode="json")
    except KallosError as error:
        sys.exit(f"{path}: {error}")


def _checked(run: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return parse_spec(RunSpec, run).model_dump(mode="json", exclude_unset=True)
    except KallosError as error:
        sys.exit(f"run in prefect.yaml: {error}")
