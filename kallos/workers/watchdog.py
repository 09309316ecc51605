"""Ends worker processes whose parent has ended."""

import os
import threading
import time

_CHECK_SECONDS = 1.0


def leave_with_parent(parent: int) -> None:
    """End this process within seconds after its parent ends.

    The kernel's signal for this (PDEATHSIG) already fires when the thread that started the process ends.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
