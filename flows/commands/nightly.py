"""`kallos-run nightly`: the flow `nightly`, run in this process."""

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
from flows.starting import Results, examine_services, shown_while_running
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
        Parameter(help="Make the model the registry's champion when the verdict is 'ship', or never."),
    ] = "by-verdict",
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune, train, and judge the model on a hold-out against the champion: ship it, or keep the old one.

    The specification must keep a hold-out from the study (--holdout 2). Exit code 0 whatever the verdict.
    """
    spec = read_spec(study, given)
    require_holdout(spec)
    run = parse_spec(RunSpec, nested(_RUN_FLAGS, given))
    if seeds < 1:
        raise UsageError(f"--seeds must be 1 or more, not {seeds}")
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    from kallos.storage import prepare_folder

    console = Console()
    settings = Settings.read()
    results = Results.of(output_dir, settings)
    cluster = examine_services(run, settings)
    prepare_folder(results.folder)
    if cluster is not None:
        console.print(cluster, soft_wrap=True)
    with prefect_api(console, "flows.nightly"):
        from flows.nightly import nightly as nightly_flow
        from flows.terminal.evaluation import show_evaluation
        from flows.terminal.study import print_page, shown_progress

        with shown_while_running(console, shown_progress(console)):
            night = nightly_flow(spec, run, results.parameter, select, seeds, refit, promote)
    show_evaluation(console, night.evaluation)
    console.print(night.became, soft_wrap=True)
    if night.page is not None:
        print_page(console, spec, results.folder)
