"""`kallos-run doctor`: check everything that a nightly run needs."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from flows.server.api import set_environment
from flows.wording import Console, in_flags
from kallos.settings import Settings

_SIGNS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "bold red")}


def doctor(
    *,
    work_pool: Annotated[str, Parameter(help="Work pool of the deployments.")] = "kallos",
) -> None:
    """Check everything that a nightly run needs.

    Prints one line for each of: versions, disk, store, databases, cluster, and Prefect's server, work pool, workers
    and schedules. The exit code is 1 if one of them is BAD.
    """
    set_environment()
    from flows.server.diagnosis import checks

    lines = Table.grid(padding=(0, 1))
    states = set()
    for check in checks(Settings.read(), work_pool):
        for finding in check():
            states.add(finding.state)
            sign, style = _SIGNS[finding.state]
            lines.add_row(Text(sign, style), Text(finding.subject), Text(in_flags(finding.message), overflow="fold"))
    Console().print(lines)
    if "bad" in states:
        sys.exit(1)
