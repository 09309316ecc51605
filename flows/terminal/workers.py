"""Warnings about workers on the terminal of a command that waits for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from flows.wording import in_flags
from kallos.words import scrubbed

_POOLS = ("kallos.workers.dask", "kallos.workers.processes")


@contextmanager
def shown_workers(console: Console) -> Iterator[None]:
    """Print the warnings of all pools during the block, in addition to the run's log."""
    handler = _Lines(console)
    loggers = [logging.getLogger(name) for name in _POOLS]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        line = f"warning: {in_flags(scrubbed(record.getMessage()))}"
        self._console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
