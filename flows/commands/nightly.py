"""`kallos-run nightly`: the flow `nightly`, run in this process."""

import logging
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.flags import (
    SPEC_FLAGS,
    FeaturesUrl,
    HowRefitted,
    HowSelected,
    ResultsFolder,
    Seeds,
    StorageUrl,
    StudyFile,
    flags_of,
    nested,
    read_spec,
    with_flags,
)
from flows.server.api import prefect_api, set_environment
from flows.wording import Console
from kallos.errors import UsageError
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec, require_holdout

_RUN_FLAGS = list(flags_of(RunSpec))


@with_flags(*SPEC_FLAGS, *_RUN_FLAGS)
def nightly(
    *,
    study: StudyFile = None,
    select: HowSelected = "one-se",
    seeds: Seeds = 3,
    refit: HowRefitted = "inner-validation",
    promote: Annotated[
        Literal["by-verdict", "never"],
        Parameter(help="Make the model the registry's current one when the verdict is 'ship', or never."),
    ] = "by-verdict",
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune, train, and judge the model on a hold-out against the one in use: ship it, or keep the old one.

    The specification must keep a hold-out from the study (--holdout 2). Exit code 0 whatever the verdict.
    """
    spec = read_spec(study, given)
    require_holdout(spec)
    run = parse_spec(RunSpec, nested(_RUN_FLAGS, given))
    if seeds < 1:
        raise UsageError(f"--seeds must be 1 or more, not {seeds}")
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    from kallos.storage import prepare_folder
    from kallos.study.record import parse_storage_url

    console = Console()
    settings = Settings.read()
    parse_storage_url(settings.studies_url)
    folder = output_dir or settings.results or "kallos-results"
    prepare_folder(folder)
    with prefect_api(console, "flows.nightly"):
        from flows.nightly import nightly as nightly_flow
        from flows.server.interruption import ending_at_once
        from flows.terminal.evaluation import show_evaluation
        from flows.terminal.study import shown_progress
        from flows.watching import Ending, watching

        logging.raiseExceptions = False
        ending = Ending()
        with (
            shown_progress(console) as shown,
            ending_at_once(console, before=shown.close),
            watching(shown),
            watching(ending),
        ):
            # A folder of the settings is none of the parameters: its URL may hold a password.
            named = output_dir or (None if settings.results else folder)
            evaluation = nightly_flow(spec, run, named, select, seeds, refit, promote)
    show_evaluation(console, evaluation)
    assert ending.finished is not None
    from flows.terminal.study import report_address
    from kallos.models.registry import Registry

    registry = Registry(settings.registry_folder)
    state = registry.show(evaluation.model_id).entry.state
    console.print(f"{evaluation.model_id} is {state} in {registry.address}", soft_wrap=True)
    page = report_address(ending.finished.result, folder)
    if page is not None:
        console.print(f"report: {page}", soft_wrap=True)
