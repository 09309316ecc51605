"""`kallos-run tune`: the flow `tune`, run in this process."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from flows.flags import SPEC_FLAGS, FeaturesUrl, StudyFile, flags_of, nested, read_spec, with_flags
from kallos.settings import Settings
from kallos.specs import RunSpec, TuneSpec, parse_spec

if TYPE_CHECKING:
    from kallos.planning import StudyPlan

_RUN_FLAGS = list(flags_of(RunSpec))


@with_flags(*SPEC_FLAGS, *_RUN_FLAGS)
def tune(
    *,
    study: StudyFile = None,
    output_dir: Annotated[
        str | None,
        Parameter(
            help="Folder of the best parameters, or its fsspec URL. [default: KALLOS_RESULTS, else kallos-results]",
            show_default=False,
        ),
    ] = None,
    db_url: FeaturesUrl = None,
    storage_url: Annotated[
        str | None, Parameter(help="Database of the studies' records (SQLAlchemy URL).", show_default=False)
    ] = None,
    **given: Any,
) -> None:
    """Tune a model on one asset's features.

    Runs the flow in this process: against PREFECT_API_URL where it is set, else against a server of its own
    for as long as the study takes.
    """
    spec = read_spec(study, given)
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(spec, parse_spec(RunSpec, nested(_RUN_FLAGS, given)), output_dir)


def run_flow(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> None:
    """Run the flow with its progress on the terminal, and show the result."""
    from kallos.checks import load_sound_features
    from kallos.cluster import cluster_line
    from kallos.dask_scheduler import cluster_address
    from kallos.events import Event, StudyFinished
    from kallos.planning import plan_study
    from kallos.record import parse_storage_url
    from kallos.report import best_params_address
    from kallos.result_folder import prepare_folder
    from kallos.results import TuningResult

    console = Console()
    settings = Settings.read()
    parse_storage_url(settings.studies_url)
    cluster = cluster_line(cluster_address(run, settings.dask_address)) if run.executor == "dask" else None
    folder = output_dir or settings.results or "kallos-results"
    with console.status("reading the features") as status:
        # What is wrong with the data or the folder is said before a server is started for it.
        features, examination = load_sound_features(
            settings.features_url,
            spec,
            now=datetime.now(UTC),
            timeout=settings.db_timeout,
            on_rows=lambda n_rows: status.update(f"reading the features: {n_rows:,} rows"),
        )
        plan = plan_study(features, spec, settings.snapshots)
        prepare_folder(folder)
    for warning in examination.warnings:
        console.print(f"warning: {warning.line}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    if cluster is not None:
        console.print(cluster, highlight=False, markup=False, soft_wrap=True)
    with _prefect(console, plan, run):
        import httpx
        from prefect.settings import PREFECT_API_URL

        from flows.interruption import ending_at_once, leave_at_once
        from flows.terminal import show_result, shown_progress
        from flows.tune import tune as tune_flow
        from flows.watching import watching

        # Log lines that a server does not take are no news, either: Prefect would write so into the midst of ours.
        logging.raiseExceptions = False
        ended: list[TuningResult] = []

        def keep(event: Event) -> None:
            if isinstance(event, StudyFinished):
                ended.append(event.result)

        try:
            with (
                shown_progress(console) as shown,
                ending_at_once(console, before=shown.close),
                watching(shown),
                watching(keep),
            ):
                # A folder of the settings is none of the parameters: its URL may hold a password.
                tune_flow(spec, run, output_dir or (None if settings.results else folder))
        except httpx.TransportError:
            # The study is over by then, and its file is written before the server is told of it.
            if not ended:
                leave_at_once(
                    f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: finished folds are kept; start "
                    f"it with 'prefect server start', and the same command carries on"
                )
            show_result(console, ended[0], best_params_address(spec, folder))
            leave_at_once(
                f"Prefect's API must answer until a run's end, and {PREFECT_API_URL.value()} did not: the result is "
                f"whole; the run's state and artifacts are missing there"
            )
    show_result(console, ended[0], best_params_address(spec, folder))


@contextmanager
def _prefect(console: Console, plan: "StudyPlan", run: RunSpec) -> Iterator[None]:
    """Run the block against the API that Prefect's settings name, or else against a server for this command alone."""
    with ExitStack() as stack:
        with console.status("starting Prefect"):
            from prefect.settings import PREFECT_API_URL, temporary_settings

            from flows.local_server import start_local_server
            from kallos.record import check_record

            answered = start_local_server() if not PREFECT_API_URL.value() else None
            # While a server starts, what takes long to import is imported: the flow, and torch for the study's name.
            import_module("flows.tune")
            check_record(Settings.read().studies_url, plan, if_running=run.if_running)
            if answered is not None:
                stack.enter_context(temporary_settings({PREFECT_API_URL: answered()}))
        from flows.api_errors import api_must_answer

        with api_must_answer("start it with 'prefect server start', or unset PREFECT_API_URL to go without"):
            yield


# What every command and run of ours has; a variable that is set already stays as it is.
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "kallos",
    # When a run is cut short, loky's tracker cleans up after it, as it should, and need not say so.
    "PYTHONWARNINGS": "ignore:resource_tracker",
}
# For a command that shows progress and errors itself: the run's log keeps the rest, and events that a server does not
# take are no news to who waits for a study.
_QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL"}
# For runs that nobody waits for: without heartbeats a zombie cannot be told from a long night.
_SERVING = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def set_environment(*, serving: bool = False, **given: str | None) -> None:
    """Settle what Prefect and our settings read from the environment, before either is imported."""
    os.environ.update({name: value for name, value in given.items() if value is not None})
    for name, value in {**_ENVIRONMENT, **(_SERVING if serving else _QUIET)}.items():
        os.environ.setdefault(name, value)
