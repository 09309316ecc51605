"""`kallos-run dashboard`: Optuna's dashboard of the recorded studies."""

from importlib.util import find_spec
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.studies import studies_address
from flows.flags import StorageUrl
from kallos.errors import KallosError, UsageError
from kallos.words import pip_install


def dashboard(
    *,
    storage_url: StorageUrl = None,
    port: Annotated[
        int, Parameter(help="Port on this machine; 0 takes any free one.", validator=Number(gte=0, lt=2**16))
    ] = 8080,
) -> None:
    """Show all studies in Optuna's dashboard, read-only.

    Runs until Ctrl-C, and answers only browsers on this machine. Needs the extra 'dashboard'.
    """
    if find_spec("optuna_dashboard") is None:
        raise UsageError(f"the dashboard needs optuna-dashboard, which is not installed: {pip_install('dashboard')}")
    from flows.server.dashboard import serve_dashboard
    from kallos.features.databases import shown
    from kallos.study.record import must_answer, opened_if_there, parse_storage_url

    url = parse_storage_url(studies_address(storage_url))
    with must_answer(url), opened_if_there(url) as storage:
        if storage is None:
            raise KallosError(f"{shown(url)} has no studies yet: run 'kallos-run tune' first")
        serve_dashboard(storage, port, shown(url))
