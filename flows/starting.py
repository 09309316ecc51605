"""What commands do before a flow that they run in this process."""

from dataclasses import dataclass
from typing import Self

from flows.wording import say
from kallos.settings import Settings
from kallos.specs.run import RunSpec


@dataclass(frozen=True)
class Results:
    """A command's results folder, and the flow parameter that names it.

    The parameter is None for a folder from the settings: a server shows parameters, and the URL may hold a password.
    """

    folder: str
    parameter: str | None

    @classmethod
    def of(cls, output_dir: str | None, settings: Settings) -> Self:
        """Return the given folder, or else that of the settings, or else one in the current folder."""
        folder = output_dir or settings.results or "kallos-results"
        return cls(folder, output_dir or (None if settings.results else folder))


def prepare_run(run: RunSpec, output_dir: str | None) -> Results:
    """Check the storage and the cluster, print which cluster is used, and return where the results go.

    Raises `UsageError` for an invalid storage, `StudyError` for a cluster that does not answer.
    """
    from kallos.study.record import parse_storage_url
    from kallos.workers.dask import cluster_line
    from kallos.workers.scheduler import cluster_address

    settings = Settings.read()
    parse_storage_url(settings.studies_url)
    cluster = cluster_line(cluster_address(run, settings.dask_address)) if run.executor == "dask" else None
    if cluster is not None:
        say(cluster)
    return Results.of(output_dir, settings)
