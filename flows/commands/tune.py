"""`kallos-run tune`: run the flow `tune` in this process."""

from typing import TYPE_CHECKING, Any, NoReturn

from flows.flags import (
    RUN_FLAGS,
    SPEC_FLAGS,
    FeaturesUrl,
    ResultsFolder,
    StorageUrl,
    StudyFile,
    nested,
    read_spec,
    with_flags,
)
from flows.server.api import prefect_api, set_environment
from flows.starting import prepare_run
from flows.wording import Console, say
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, parse_spec

if TYPE_CHECKING:
    from kallos.study.events import StudyFinished


@with_flags(*SPEC_FLAGS, *RUN_FLAGS)
def tune(
    *,
    study: StudyFile = None,
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune a model on the features of one or more assets.

    Uses the Prefect server in PREFECT_API_URL, or starts a temporary one. A finished study is answered from its files.
    """
    spec = read_spec(study, given)
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    run_flow(spec, parse_spec(RunSpec, nested(RUN_FLAGS, given)), output_dir)


def run_flow(spec: TuneSpec, run: RunSpec, output_dir: str | None) -> None:
    """Run the flow, and show its progress and its result."""
    from flows.finished import what_is_known
    from flows.session import handing_over, new_reader, prepare, watching
    from flows.terminal.study import show_result, shown_progress
    from kallos.storage import prepare_folder
    from kallos.study.record import check_record
    from kallos.workers.forks import preload
    from kallos.workers.processes import imports_of

    console = Console()
    results = prepare_run(run, output_dir)
    with console.status("reading the features") as status:
        # Check the data and the folder before a server is started.
        reader = new_reader(lambda n_rows: status.update(f"reading the features: {n_rows:,} rows"))
        prepared = prepare(reader, spec)
        prepare_folder(results.folder)
        known = what_is_known(prepared.plan, run, results.folder)
    for warning in prepared.warnings:
        say(f"warning: {warning}", style="yellow")
    if known is not None:
        with shown_progress(console) as shown:
            for event in known.events:
                shown(event)
        show_result(console, known.result, results.folder, has_page=True, chosen=known.chosen, columns=known.columns)
        return
    if run.executor == "processes":
        # While the server starts.
        preload(imports_of(prepared.plan.space.spaces))
    with prefect_api(
        console,
        "flows.tune",
        meanwhile=lambda: check_record(Settings.read().studies_url, prepared.plan, if_running=run.if_running),
    ):
        import httpx

        from flows.server.interruption import ending_at_once
        from flows.tune import tune as tune_flow

        with (
            shown_progress(console) as shown,
            ending_at_once(console, before=shown.close),
            watching(shown),
            handing_over(prepared),
        ):
            try:
                tuned = tune_flow(spec, run, results.parameter)
            except httpx.TransportError:
                shown.close()
                _leave_without_api(console, shown.finished, results.folder)
    show_result(
        console,
        tuned.result,
        results.folder,
        has_page=tuned.page is not None,
        chosen=tuned.chosen,
        columns=tuned.columns,
    )


def _leave_without_api(console: Console, finished: "StudyFinished | None", folder: str) -> NoReturn:
    """Show what a run has kept if its server does not answer, and exit."""
    from prefect.settings import PREFECT_API_URL

    from flows.server.interruption import leave_at_once
    from flows.terminal.study import show_result
    from kallos.report.page import find_report
    from kallos.study.names import study_folder

    if finished is None:
        leave_at_once(
            f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: finished folds are kept; start it with "
            f"'prefect server start', and run the same command again to continue"
        )
    # The study is complete: its file is written before the server is told.
    result = finished.result
    show_result(console, result, folder, has_page=find_report(study_folder(folder, result.study_name)) is not None)
    leave_at_once(
        f"Prefect's API must answer until the end of a run, and {PREFECT_API_URL.value()} did not: the result is "
        f"complete, but the server lacks the run's state and artifacts"
    )
