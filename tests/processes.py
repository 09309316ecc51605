"""The processes that fit folds, as the operating system shows them."""

import psutil


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the workers of a process: what the server forks that it has started for them."""
    servers = [child for child in process.children() if "kallos.workers.forks" in " ".join(child.cmdline())]
    return [worker for server in servers for worker in server.children()]
