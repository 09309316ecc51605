"""`kallos-run tune`: the flow `tune`, run in this process."""

import logging
from datetime import UTC, datetime
from typing import Any

from flows.flags import (
    SPEC_FLAGS,
    FeaturesUrl,
    ResultsFolder,
    StorageUrl,
    StudyFile,
    flags_of,
    nested,
    read_spec,
    with_flags,
)
from flows.server.api import prefect_api, set_environment
from flows.wording import Console
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, parse_spec

_RUN_FLAGS = list(flags_of(RunSpec))


@with_flags(*SPEC_FLAGS, *_RUN_FLAGS)
def tune(
    *,
    study: StudyFile = None,
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune a model on the features of an asset, or of several.

    Runs the flow in this process: against PREFECT_API_URL where it is set, else against a server of its own
    for as long as the study takes.
    """
    spec = read_spec(study, given)
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(spec, parse_spec(RunSpec, nested(_RUN_FLAGS, given)), output_dir)


def run_flow(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> None:
    """Run the flow with its progress on the terminal, and show the result."""
    from kallos.checks import load_sound_features
    from kallos.planning import plan_study
    from kallos.storage import prepare_folder
    from kallos.study.record import check_record, parse_storage_url
    from kallos.workers.dask import cluster_line
    from kallos.workers.scheduler import cluster_address

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
        console.print(f"warning: {warning.line}", style="yellow", soft_wrap=True)
    if cluster is not None:
        console.print(cluster, soft_wrap=True)
    with prefect_api(
        console,
        "flows.tune",
        # Torch is imported for the study's name.
        meanwhile=lambda: check_record(settings.studies_url, plan, if_running=run.if_running),
    ):
        import httpx
        from prefect.settings import PREFECT_API_URL

        from flows.server.interruption import ending_at_once, leave_at_once
        from flows.terminal.study import show_result, shown_progress
        from flows.tune import tune as tune_flow
        from flows.watching import Ending, watching

        # Log lines that a server does not take are no news, either: Prefect would write so into the midst of ours.
        logging.raiseExceptions = False
        ending = Ending()
        try:
            with (
                shown_progress(console) as shown,
                ending_at_once(console, before=shown.close),
                watching(shown),
                watching(ending),
            ):
                # A folder of the settings is none of the parameters: its URL may hold a password.
                tune_flow(spec, run, output_dir or (None if settings.results else folder))
        except httpx.TransportError:
            # The study is over by then, and its file is written before the server is told of it.
            if ending.finished is None:
                leave_at_once(
                    f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: finished folds are kept; start "
                    f"it with 'prefect server start', and the same command carries on"
                )
            show_result(console, ending.finished.result, folder)
            leave_at_once(
                f"Prefect's API must answer until a run's end, and {PREFECT_API_URL.value()} did not: the result is "
                f"whole; the run's state and artifacts are missing there"
            )
    assert ending.finished is not None
    show_result(console, ending.finished.result, folder)
