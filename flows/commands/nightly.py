"""`kallos-run nightly`: run the flow `nightly` in this process."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.flags import (
    RUN_FLAGS,
    SPEC_FLAGS,
    FeaturesUrl,
    HowRefitted,
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
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec, require_holdout


@with_flags(*SPEC_FLAGS, *RUN_FLAGS)
def nightly(
    *,
    study: StudyFile = None,
    refit: HowRefitted = "inner-validation",
    promote: Annotated[
        Literal["by-verdict", "never"],
        Parameter(help="When to make the model the champion: if the verdict is 'ship' ('by-verdict'), or never."),
    ] = "by-verdict",
    output_dir: ResultsFolder = None,
    db_url: FeaturesUrl = None,
    storage_url: StorageUrl = None,
    **given: Any,
) -> None:
    """Tune and train a model, judge it on a hold-out, and make it the champion if it is better.

    The specification must keep a hold-out, such as --holdout 2. The exit code is 0 whatever the verdict.
    """
    spec = read_spec(study, given)
    require_holdout(spec)
    run = parse_spec(RunSpec, nested(RUN_FLAGS, given))
    set_environment(KALLOS_DB_URL=db_url, KALLOS_STORAGE_URL=storage_url)
    from kallos.storage import prepare_folder

    console = Console()
    results = prepare_run(run, output_dir)
    prepare_folder(results.folder)
    with prefect_api(console, "flows.nightly"):
        from flows.nightly import nightly as nightly_flow
        from flows.server.interruption import ending_at_once
        from flows.session import watching
        from flows.terminal.evaluation import show_evaluation
        from flows.terminal.study import print_page, shown_progress

        with shown_progress(console) as shown, ending_at_once(console, before=shown.close), watching(shown):
            night = nightly_flow(spec, run, results.parameter, refit, promote)
    for line in night.choosing:
        console.print(line)
    show_evaluation(console, night.evaluation)
    say(night.became)
    if night.page is not None:
        print_page(console, spec, results.folder)
