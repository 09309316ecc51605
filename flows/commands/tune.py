"""`kallos-run tune`: the flow `tune`, run in this process."""

import inspect
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from flows.flags import flags_of, nested
from kallos.architectures import get_architecture
from kallos.errors import KallosError
from kallos.settings import Settings
from kallos.specs import TuneSpec, merge, parse_tune_spec, read_study_file

_FLAGS = list(flags_of(TuneSpec))


def tune(
    *,
    study: Annotated[
        Path | None,
        Parameter(help="TOML file of the specification; flags are laid over it.", show_default=False),
    ] = None,
    output_dir: Annotated[Path, Parameter(help="Folder of the best parameters.")] = Path("kallos-results"),
    db_url: Annotated[str | None, Parameter(help="Features database (SQLAlchemy URL).", show_default=False)] = None,
    **given: Any,
) -> None:
    """Tune a model on one asset's features.

    Runs the flow in this process: against PREFECT_API_URL where it is set, else against a server of its own
    for as long as the study takes.
    """
    base = read_study_file(study) if study else {}
    spec = parse_tune_spec(merge(base, nested(_FLAGS, given)))
    get_architecture(spec.model_name)
    _set_environment(db_url)
    run_flow(spec, output_dir)


def run_flow(spec: TuneSpec, output_dir: Path) -> None:
    """Run the flow with its progress on the terminal, and show the result."""
    from kallos.datasets import load_features_from_db
    from kallos.planning import plan_study
    from kallos.report import best_params_path, prepare_folder

    console = Console()
    settings = Settings.read()
    with console.status("reading the features"):
        # What is wrong with the data or the folder is said before a server is started for it.
        features = load_features_from_db(settings.features_url, **spec.data.model_dump(exclude={"fill"}))
        plan_study(features, spec, settings.snapshots)
        prepare_folder(output_dir)
    with console.status("starting Prefect"):
        from flows.interruption import ending_at_once
        from flows.terminal import show_result, shown_progress
        from flows.tune import tune as tune_flow
        from flows.watching import watching
    try:
        with ending_at_once(console), shown_progress(console) as watcher, watching(watcher):
            result = tune_flow(spec, output_dir)
    except RuntimeError as error:
        if not str(error).startswith(("Failed to reach API", "Timed out while attempting to connect")):
            raise
        raise KallosError(
            f"Prefect's API must answer, and {os.environ.get('PREFECT_API_URL', 'its own server')} did not: start it "
            f"with 'prefect server start', or unset PREFECT_API_URL to go without"
        ) from None
    show_result(console, result, best_params_path(spec, output_dir))


def _set_environment(db_url: str | None) -> None:
    """Settle what Prefect and our settings read from the environment, before either is imported."""
    if db_url is not None:
        os.environ["KALLOS_DB_URL"] = db_url
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # This command shows progress and errors itself; the run's log keeps the rest.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "kallos",
        # The first start makes a database, on a busy machine for longer than Prefect waits by default.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }.items():
        os.environ.setdefault(name, value)


def _with_flags(signature: inspect.Signature) -> inspect.Signature:
    own = [parameter for name, parameter in signature.parameters.items() if name != "given"]
    return signature.replace(parameters=[*(flag.parameter for flag in _FLAGS), *own])


tune.__signature__ = _with_flags(inspect.signature(tune))  # type: ignore[attr-defined]
tune.__annotations__ = {name: each.annotation for name, each in inspect.signature(tune).parameters.items()}
