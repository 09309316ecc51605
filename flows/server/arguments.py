"""Arguments of tasks that Prefect hands on as they are."""

from typing import Any

from prefect.utilities.annotations import quote


def as_it_is(whole: object) -> Any:
    """Keep Prefect from looking for other tasks' results in all parts of an argument, such as a job or a model."""
    return quote(whole)
