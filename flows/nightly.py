"""The flow `nightly`: tune, train, and evaluate against the champion."""

from dataclasses import dataclass
from typing import Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.evaluate import CHAMPION, evaluate_and_keep
from flows.server.arguments import as_it_is, results_folder
from flows.server.failures import note_failure
from flows.server.sessions import completed, no_session
from flows.session import keeping_rows, session
from flows.train import HowTrained, train_and_keep
from flows.tune import Tuned, tune, write_report
from flows.watching import ArtifactStore
from kallos.choosing.lines import choosing_lines
from kallos.evaluation.models import scored_dates
from kallos.evaluation.results import HoldoutEvaluation, Verdict
from kallos.models.manifest import Refit
from kallos.models.registry import Registry
from kallos.report.evaluation import evaluation_markdown, headline
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, require_holdout
from kallos.study.best_params import BestParams
from kallos.study.events import StepStarted
from kallos.study.names import artifact_key

_DEFAULT_RUN = RunSpec()


@dataclass(frozen=True)
class Night:
    """The results of a night: what was chosen, the evaluation, the model's state in the registry, the report's address.

    `choosing` are lines for people.
    """

    choosing: tuple[str, ...]
    evaluation: HoldoutEvaluation
    became: str
    page: str | None


@task(cache_policy=NO_CACHE)
def register(folder: str, evaluation: HoldoutEvaluation, by_verdict: bool) -> str:
    """Add the model to the registry, promote it if the verdict says so, and return a line with its state."""
    registry = Registry(Settings.read().registry_folder)
    reason = headline(evaluation)
    entry = registry.add(folder, reason)
    # Only a challenger is promoted: a model that a person has retired stays retired.
    if by_verdict and entry.state == "challenger" and promotes(evaluation.verdict):
        registry.promote(entry.model_id, reason)
    return f"{entry.model_id} is {registry.show(entry.model_id).entry.state} in {registry.address}"


@flow(
    name="nightly",
    flow_run_name="nightly-{spec.model_label}-{spec.data.asset_label}",
    on_failure=[note_failure],
    on_crashed=[note_failure],
)
def nightly(
    spec: TuneSpec,
    run: RunSpec = _DEFAULT_RUN,
    output_dir: str | None = None,
    refit: Refit = "inner-validation",
    promote: Literal["by-verdict", "never"] = "by-verdict",
    only_on_sessions: bool = False,
) -> Night:
    """Tune, train the choice, judge it on the hold-out against the champion, and store the verdict.

    Args:
        spec: What to tune; its folds must keep a hold-out.
        run: How to run the study, and for how long.
        output_dir: Results folder, or its fsspec URL; by default the worker's KALLOS_RESULTS.
        refit: How to train on all rows: stop early on the last of them ('inner-validation'), or train for the median
            number of epochs of the folds ('median-epochs').
        promote: When to make the model the champion: if the verdict is 'ship' ('by-verdict'), or 'never'.
        only_on_sessions: Do nothing if the study's `market` has no session on the day for which the run is scheduled
            (in `days_in`, or UTC).
    """
    require_holdout(spec)
    if only_on_sessions and (why_none := no_session(spec)):
        nothing: Night = completed(why_none)
        return nothing
    logger = get_run_logger()
    folder = results_folder(output_dir)
    with keeping_rows():
        tuned: Tuned = tune(spec, run, output_dir)
        # Not as subflows: the server would show their parameters, and the folder's URL may hold a password.
        how = HowTrained(refit=refit, workers=run.workers)
        trained, model = train_and_keep(BestParams.of(tuned.result, tuned.chosen), tuned.plan, None, folder, how=how)
        session().tell(StepStarted("forecasting the hold-out"))
        evaluation = evaluate_and_keep(trained, model, scored_dates(trained.manifest), CHAMPION, folder)
    became = register(model, evaluation, promote == "by-verdict")
    try:
        page = write_report(as_it_is(tuned), folder, evaluation)
    except Exception as error:  # The night's artifact must still be stored.
        page = None
        logger.warning("could not write the report again: %s: %s", type(error).__name__, error)
    logger.info("%s; %s", headline(evaluation), became)
    ArtifactStore(logger).store(
        create_markdown_artifact,
        key=artifact_key("verdict", spec),
        markdown=f"{evaluation_markdown(evaluation)}\n{became}.\n" + (f"\nReport: `{page}`\n" if page else ""),
        description=headline(evaluation),
    )
    choosing = tuple(choosing_lines(tuned.result, tuned.chosen))
    return Night(choosing, evaluation, became, page or tuned.page)


def promotes(verdict: Verdict) -> bool:
    """Return whether the rule `by-verdict` promotes the model."""
    return verdict.decision == "ship"
