"""Arguments of flows and tasks."""

from typing import Any

from prefect import runtime
from prefect.utilities.annotations import quote

from kallos.settings import Settings
from kallos.storage import prepare_folder, refuse_relative


def as_it_is(whole: object) -> Any:
    """Keep Prefect from searching an argument, such as a job or a model, for the results of other tasks."""
    return quote(whole)


def results_folder(output_dir: str | None) -> str:
    """Return the folder of a flow's results, and check that it can be written."""
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id:
        refuse_relative(folder)
    prepare_folder(folder)
    return folder
