"""No process outlives the one that it works for."""

import os
import threading
import time

_CHECK_SECONDS = 1.0


def leave_with_parent(parent: int) -> None:
    """End this process within seconds of its parent's end, however that comes about.

    The kernel's own signal for it (PDEATHSIG) fires when the thread ends that started the process.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
