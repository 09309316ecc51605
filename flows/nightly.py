"""The flow `nightly`: tune, train, evaluate against the champion, and say in the morning what to do."""

from dataclasses import dataclass
from typing import Literal

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import PositiveInt

from flows.evaluate import CHAMPION, evaluate_and_keep
from flows.server.arguments import as_it_is
from flows.server.failures import note_failure
from flows.session import keeping_rows, session
from flows.train import HowTrained, train_and_keep
from flows.tune import Tuned, tune, write_page
from flows.watching import ArtifactStore
from kallos.evaluation.models import scored_dates
from kallos.evaluation.results import HoldoutEvaluation, Verdict
from kallos.models.manifest import Refit, Select
from kallos.models.registry import Registry
from kallos.report.evaluation import evaluation_markdown, headline
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec, require_holdout
from kallos.storage import refuse_relative
from kallos.study.best_params import BestParams
from kallos.study.events import StepStarted
from kallos.study.names import artifact_key

_DEFAULT_RUN = RunSpec()


@dataclass(frozen=True)
class Night:
    """What a night leaves: its evaluation, a line on what became of the model, and the address of the page, if any."""

    evaluation: HoldoutEvaluation
    became: str
    page: str | None


@task(cache_policy=NO_CACHE)
def register(folder: str, evaluation: HoldoutEvaluation, by_verdict: bool) -> str:
    """Add the model to the registry, make it the champion if the verdict says so, and return what became of it."""
    registry = Registry(Settings.read().registry_folder)
    reason = headline(evaluation)
    entry = registry.add(folder, reason)
    # What a person took out of use stays out: by its verdict a challenger is promoted, and nothing else.
    if by_verdict and entry.state == "challenger" and promotes(evaluation.verdict):
        registry.promote(entry.model_id, reason)
    return f"{entry.model_id} is {registry.show(entry.model_id).entry.state} in {registry.address}"


@task(cache_policy=NO_CACHE)
def write_verdict(tuned: Tuned, evaluation: HoldoutEvaluation, results: str) -> str:
    """Write the study's page once more, the verdict first, and return its address."""
    return write_page(tuned, evaluation, results)


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
    select: Select = "one-se",
    seeds: PositiveInt = 3,
    refit: Refit = "inner-validation",
    promote: Literal["by-verdict", "never"] = "by-verdict",
) -> Night:
    """Tune, train what was chosen, judge it on the hold-out against the champion, and leave a verdict.

    Args:
        spec: What is tuned; its folds must keep a hold-out.
        run: How this run carries the study, and how far.
        output_dir: Folder of the results, or an fsspec URL of one; by default that of the worker's KALLOS_RESULTS.
        select: The cheapest trial within one standard error of the best ('one-se'), or the 'best' itself.
        seeds: Networks that are trained, each with a seed of its own; the forecast is their mean.
        refit: Stop early on the end of the rows ('inner-validation'), or train on all for the folds' 'median-epochs'.
        promote: Make the model the registry's champion when the verdict is 'ship' ('by-verdict'), or 'never'.
    """
    require_holdout(spec)
    logger = get_run_logger()
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id:
        refuse_relative(folder)
    with keeping_rows():
        tuned: Tuned = tune(spec, run, output_dir)
        # Not as subflows: a server shows the parameters of those, and the folder's URL may hold a password.
        how = HowTrained(seeds=seeds, refit=refit, select=select, workers=run.workers)
        trained, model = train_and_keep(BestParams.of(tuned.result, tuned.chosen), tuned.plan, None, folder, how=how)
        session().tell(StepStarted("forecasting the hold-out"))
        evaluation = evaluate_and_keep(trained, model, scored_dates(trained.manifest), CHAMPION, folder)
    became = register(model, evaluation, promote == "by-verdict")
    try:
        page = write_verdict(as_it_is(tuned), evaluation, folder)
    except Exception as error:  # The night's work is done, and its artifact is still to come.
        page = None
        logger.warning("the report could not be written anew: %s: %s", type(error).__name__, error)
    logger.info("%s; %s", headline(evaluation), became)
    ArtifactStore(logger).store(
        create_markdown_artifact,
        key=artifact_key("verdict", spec),
        markdown=f"{evaluation_markdown(evaluation)}\n{became}.\n" + (f"\nReport: `{page}`\n" if page else ""),
        description=headline(evaluation),
    )
    return Night(evaluation, became, page or tuned.page)


def promotes(verdict: Verdict) -> bool:
    """Whether the rule by-verdict makes the model the champion: on `ship` alone."""
    return verdict.decision == "ship"
