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
    """What shows a run's progress on a terminal."""

    def __call__(self, event: "FlowEvent") -> None:
        """Show an event."""

    def close(self) -> None:
        """Take away what moves."""


Shown = TypeVar("Shown", bound=Progress)


@dataclass(frozen=True)
class Results:
    """Where a command's results go: their folder, and the flow's parameter that says so.

    A folder of the settings is no parameter: its URL may hold a password, and a server shows parameters.
    """

    folder: str
    parameter: str | None

    @classmethod
    def of(cls, output_dir: str | None, settings: Settings) -> Self:
        """Return the folder that is given, or else that of the settings, or else one where the command is called."""
        folder = output_dir or settings.results or "kallos-results"
        return cls(folder, output_dir or (None if settings.results else folder))


def examine_services(run: RunSpec, settings: Settings) -> str | None:
    """Look at what a run needs beside its data, and return in a line which Dask cluster it uses, if it does.

    Raises `UsageError` for a storage that cannot be, `StudyError` for a cluster that is not there.
    """
    from kallos.study.record import parse_storage_url
    from kallos.workers.dask import cluster_line
    from kallos.workers.scheduler import cluster_address

    parse_storage_url(settings.studies_url)
    return cluster_line(cluster_address(run, settings.dask_address)) if run.executor == "dask" else None


@contextmanager
def shown_while_running(console: Console, progress: AbstractContextManager[Shown]) -> Iterator[Shown]:
    """Show the progress of the flow that is called inside the block, which ends at once on Ctrl-C or SIGTERM."""
    from flows.server.interruption import ending_at_once
    from flows.session import watching

    with progress as shown, ending_at_once(console, before=shown.close), watching(shown):
        yield shown
