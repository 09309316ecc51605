"""The flow `train`: replicate a study's best parameters with several seeds, train them, and store the model."""

from dataclasses import dataclass

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from pydantic import PositiveInt

from flows.session import prepare_again, session
from flows.watching import ArtifactStore
from kallos.cache import FoldCache
from kallos.features.snapshots import read_snapshot
from kallos.models import files, trainer
from kallos.models.files import refuse_foreign_folder
from kallos.models.manifest import Choice, Manifest, Refit, Select
from kallos.models.summary import model_lines, model_markdown
from kallos.models.trainer import TrainedModel, choose
from kallos.planning import StudyPlan
from kallos.settings import Settings
from kallos.storage import refuse_relative
from kallos.study import replication
from kallos.study.best_params import BestParams, read_best_params_file
from kallos.study.events import StepStarted
from kallos.study.names import artifact_key, model_folder, shown_name
from kallos.study.replication import SeedReplication
from kallos.words import counted
from kallos.workers.processes import FoldPool, physical_cores


@dataclass(frozen=True)
class HowTrained:
    """How many networks to train, how, and with which trial's parameters; `workers` processes replicate the choice."""

    seeds: int
    refit: Refit
    select: Select
    workers: int | None = None


@task
def find_study_rows(best: BestParams) -> StudyPlan:
    """Plan the study again on its own rows, from their snapshot or else from the database."""
    return prepare_again(best).plan


@task
def replicate_choice(plan: StudyPlan, choice: Choice, seeds: int, workers: int | None) -> SeedReplication:
    """Run the chosen parameters on the study's folds with several seeds; each fit has its own process."""
    workers = workers or physical_cores()
    with FoldPool(workers, retries=2) as pool:
        evaluate = FoldCache(Settings.read().fold_cache).through(pool.evaluate)
        return replication.replicate(plan, choice.params, seeds=seeds, evaluate=evaluate, workers=workers)


@task
def train_model(
    best: BestParams, plan: StudyPlan, choice: Choice, replicated: SeedReplication, seeds: int, refit: Refit
) -> TrainedModel:
    """Train the chosen parameters on all rows of the study, once for each seed."""
    rows = read_snapshot(plan.snapshot)
    return trainer.train(best, rows, choice, seeds=seeds, refit=refit, seed_replication=replicated)


@task
def write_model(trained: TrainedModel, folder: str) -> str:
    """Write the model's directory, and return its address."""
    return files.write_model(trained, folder)


def run_name() -> str:
    """Return a run's name, without the path of the file, which may hold a password."""
    return f"train-{shown_name(runtime.flow_run.parameters['params_file'])}"


@flow(name="train", flow_run_name=run_name)
def train(
    params_file: str,
    output_dir: str | None = None,
    seeds: PositiveInt = 3,
    refit: Refit = "inner-validation",
    select: Select = "one-se",
    workers: int | None = None,
    results: str | None = None,
) -> Manifest:
    """Train a study's chosen parameters on all its rows, and store the model as a directory and an artifact.

    Args:
        params_file: A study's best_params.json or a copy of it, or its fsspec URL.
        output_dir: The model's own folder, or its fsspec URL; by default models/MODEL_ID in the results folder.
        seeds: Number of networks, each with its own seed; the forecast is their mean.
        refit: How to train on all rows: stop early on the last of them ('inner-validation'), or train for the median
            number of epochs of the folds ('median-epochs').
        select: Trial to train: the cheapest within one standard error of the best ('one-se'), or the 'best'.
        workers: Processes that replicate the choice; by default one per physical core.
        results: Results folder, or its fsspec URL; by default the worker's KALLOS_RESULTS.
    """
    if output_dir is not None:
        if runtime.deployment.id:
            refuse_relative(output_dir)
        refuse_foreign_folder(output_dir)
    best = read_best_params_file(params_file)
    prepared = session().prepared_for(best.spec, best.data)
    plan = find_study_rows(best) if prepared is None else prepared.plan
    trained, _ = train_and_keep(
        best,
        plan,
        output_dir,
        results or Settings.read().results_folder,
        how=HowTrained(seeds=seeds, refit=refit, select=select, workers=workers),
    )
    return trained.manifest


def train_and_keep(
    best: BestParams, plan: StudyPlan, folder: str | None, results: str, *, how: HowTrained
) -> tuple[TrainedModel, str]:
    """Train a study's chosen parameters, and return the model with its folder; called in a flow.

    By default the folder is in the results folder, and has the model's name.
    """
    logger, seeds = get_run_logger(), how.seeds
    choice = choose(best, how.select)
    tell = session().tell
    tell(StepStarted(f"replicating trial {choice.trial} on {counted(seeds * len(plan.folds), 'fold')}"))
    replicated = replicate_choice(plan, choice, seeds, how.workers)
    tell(StepStarted(f"training {counted(seeds, 'network')}"))
    trained: TrainedModel = train_model(best, plan, choice, replicated, seeds, how.refit)
    folder = folder or model_folder(results, trained.model_id)
    address = write_model(trained, folder)
    for line in model_lines(trained.manifest):
        logger.info("%s", line)
    logger.info("model %s in %s", trained.model_id, address)
    ArtifactStore(logger).store(
        create_markdown_artifact,
        key=artifact_key("model", best.spec),
        markdown=model_markdown(trained.manifest, address),
        description=f"{trained.model_id} in {address}",
    )
    return trained, folder
