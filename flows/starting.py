"""What commands do before and around a flow that they run in this process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from rich.console import Console

from kallos.settings import Settings
from kallos.specs.run import RunSpec

if TYPE_CHECKING:
    from flows.session import FlowEvent


class Progress(Protocol):
    """Shows a run's progress on a terminal."""

    def __call__(self, event: "FlowEvent") -> None:
        """Show an event."""

    def close(self) -> None:
        """Remove the progress bar."""


Shown = TypeVar("Shown", bound=Progress)


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


def prepare_run(console: Console, run: RunSpec, output_dir: str | None) -> Results:
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
        console.print(cluster, soft_wrap=True)
    return Results.of(output_dir, settings)


@contextmanager
def shown_while_running(console: Console, progress: AbstractContextManager[Shown]) -> Iterator[Shown]:
    """Show the progress of the flow that is called in the block, and end it at once on Ctrl-C or SIGTERM."""
    from flows.server.interruption import ending_at_once
    from flows.session import watching

    with progress as shown, ending_at_once(console, before=shown.close), watching(shown):
        yield shown
