"""Ends processes whose parent has ended."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHECK_SECONDS = 1.0


def leave_with_parent(parent: int) -> None:
    """End this process within seconds after its parent ends."""
    _watch(parent, threading.Event())


@contextmanager
def leaving_with_parent() -> Iterator[None]:
    """End this process within seconds if its parent ends in the block; no thread is left behind it."""
    is_over = threading.Event()
    thread = _watch(os.getppid(), is_over)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _watch(parent: int, is_over: threading.Event) -> threading.Thread:
    """The kernel's signal for this (PDEATHSIG) already fires when the thread that started the process ends."""

    def watch() -> None:
        while os.getppid() == parent:
            if is_over.wait(_CHECK_SECONDS):
                return
        os._exit(1)

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
