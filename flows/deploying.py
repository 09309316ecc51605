"""Steps of `prefect deploy`, named in prefect.yaml."""

from pathlib import Path
from typing import Any

from kallos.specs import parse_tune_spec, read_study_file


def read_study(path: str) -> dict[str, Any]:
    """Return a study file as a deployment's parameters: `spec`, with every default filled in, and checked.

    Raises `UsageError` with a line that names each field at fault.
    """
    return {"spec": parse_tune_spec(read_study_file(Path(path))).model_dump(mode="json")}
