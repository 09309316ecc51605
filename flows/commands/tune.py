"""`kallos-run tune`: the flow `tune`, run in this process."""

from typing import TYPE_CHECKING, Any, NoReturn

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
from flows.starting import Results, examine_services, shown_while_running
from flows.wording import Console
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, parse_spec

if TYPE_CHECKING:
    from kallos.study.events import StudyFinished

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
    from flows.session import handing_over, new_reader, prepare
    from kallos.storage import prepare_folder
    from kallos.study.record import check_record

    console = Console()
    settings = Settings.read()
    results = Results.of(output_dir, settings)
    cluster = examine_services(run, settings)
    with console.status("reading the features") as status:
        # What is wrong with the data or the folder is said before a server is started for it.
        reader = new_reader(lambda n_rows: status.update(f"reading the features: {n_rows:,} rows"))
        prepared = prepare(reader, spec)
        prepare_folder(results.folder)
    for warning in prepared.warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    if cluster is not None:
        console.print(cluster, soft_wrap=True)
    with prefect_api(
        console,
        "flows.tune",
        # Torch is imported for the study's name.
        meanwhile=lambda: check_record(settings.studies_url, prepared.plan, if_running=run.if_running),
    ):
        import httpx

        from flows.terminal.study import show_result, shown_progress
        from flows.tune import tune as tune_flow

        with shown_while_running(console, shown_progress(console)) as shown, handing_over(prepared):
            try:
                tuned = tune_flow(spec, run, results.parameter)
            except httpx.TransportError:
                shown.close()
                _leave_without_api(console, shown.finished, results.folder)
    show_result(console, tuned.result, results.folder, has_page=tuned.page is not None)


def _leave_without_api(console: Console, finished: "StudyFinished | None", folder: str) -> NoReturn:
    """Say what there is of a run whose server has not answered until its end, and end."""
    from prefect.settings import PREFECT_API_URL

    from flows.server.interruption import leave_at_once
    from flows.terminal.study import show_result
    from kallos.report.page import find_report
    from kallos.study.names import study_folder

    if finished is None:
        leave_at_once(
            f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: finished folds are kept; start "
            f"it with 'prefect server start', and the same command carries on"
        )
    # The study is over by then, and its file is written before the server is told of it.
    result = finished.result
    show_result(console, result, folder, has_page=find_report(study_folder(folder, result.study_name)) is not None)
    leave_at_once(
        f"Prefect's API must answer until a run's end, and {PREFECT_API_URL.value()} did not: the result is "
        f"whole; the run's state and artifacts are missing there"
    )
