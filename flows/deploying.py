"""Steps of `prefect deploy`, named in prefect.yaml."""

import sys
from pathlib import Path
from typing import Any

from kallos.errors import KallosError
from kallos.specs import parse_tune_spec, read_study_file


def read_study(path: str) -> dict[str, Any]:
    """Return a study file as a deployment's parameters: `spec`, with every default filled in, and checked.

    Ends the deployment with a line that names each field at fault: of an exception Prefect would print the traceback.
    """
    try:
        return {"spec": parse_tune_spec(read_study_file(Path(path))).model_dump(mode="json")}
    except KallosError as error:
        sys.exit(f"{path}: {error}")
