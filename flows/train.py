"""The flow `train`: replicate what a study chose with several seeds, train it, and store the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import PositiveInt

from flows.server.arguments import as_it_is
from flows.session import prepare_again, session
from flows.watching import ArtifactStore
from kallos.cache import FoldCache
from kallos.models import files, trainer
from kallos.models.files import refuse_foreign_folder
from kallos.models.manifest import Choice, Manifest, Refit
from kallos.models.summary import model_lines, model_markdown
from kallos.models.trained import TrainedModel
from kallos.planning import StudyPlan
from kallos.settings import Settings
from kallos.specs.study import Choose
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
    """With how many seeds, how and in how many processes to train what; by default, what the study chooses."""

    refit: Refit
    seeds: int | None = None
    choose: Choose | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Processes:
    """The processes that replicate and train a choice, and their number."""

    pool: FoldPool
    number: int


@task
def find_study_rows(best: BestParams) -> StudyPlan:
    """Plan the study again on its own rows, from their snapshot or else from the database."""
    return prepare_again(best).plan


@contextmanager
def open_processes(workers: int | None) -> Iterator[Processes]:
    """Open processes for the block; each starts with its first fit."""
    number = workers or physical_cores()
    with FoldPool(number, retries=2) as pool:
        yield Processes(pool, number)


@task(cache_policy=NO_CACHE)
def replicate_choice(plan: StudyPlan, choice: Choice, seeds: int, processes: Processes) -> SeedReplication:
    """Run the chosen trials on the study's folds with several seeds; each fit has its own process."""
    evaluate = FoldCache(Settings.read().fold_cache).through(processes.pool.evaluate)
    return replication.replicate(plan, choice.members, seeds=seeds, evaluate=evaluate, workers=processes.number)


@task(cache_policy=NO_CACHE)
def train_model(
    best: BestParams,
    plan: StudyPlan,
    choice: Choice,
    replicated: SeedReplication,
    how: HowTrained,
    processes: Processes,
) -> TrainedModel:
    """Train the chosen trials on all rows of the study, each once for each seed, in several processes."""
    return trainer.train(
        best,
        plan.snapshot,
        choice,
        seeds=how.seeds or best.spec.seeds,
        refit=how.refit,
        seed_replication=replicated,
        run=processes.pool.run,
        workers=processes.number,
    )


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
    seeds: PositiveInt | None = None,
    refit: Refit = "inner-validation",
    choose: Choose | None = None,
    workers: int | None = None,
    results: str | None = None,
) -> Manifest:
    """Train what a study chose on all its rows, and store the model as a directory and an artifact.

    Args:
        params_file: A study's best_params.json or a copy of it, or its fsspec URL.
        output_dir: The model's own folder, or its fsspec URL; by default models/MODEL_ID in the results folder.
        seeds: Number of seeds that each chosen trial is trained with; the forecast is their mean. By default, the
            study says it.
        refit: How to train on all rows: stop early on the last of them ('inner-validation'), or train for the median
            number of epochs of the folds ('median-epochs').
        choose: What to train: the 'best' trial, the cheapest one that cannot be told from it ('simplest'), or the
            weighted mean of several ('ensemble'); by default what the study chooses.
        workers: Processes that replicate and train the choice; by default one per physical core.
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
        how=HowTrained(seeds=seeds, refit=refit, choose=choose, workers=workers),
    )
    return trained.manifest


def train_and_keep(
    best: BestParams, plan: StudyPlan, folder: str | None, results: str, *, how: HowTrained
) -> tuple[TrainedModel, str]:
    """Train what a study chose, and return the model with its folder; called in a flow.

    By default the folder is in the results folder, and has the model's name.
    """
    logger, seeds = get_run_logger(), how.seeds or best.spec.seeds
    choice = trainer.choose(best, how.choose)
    tell = session().tell
    n_fits = seeds * len(choice.members)
    trials = f"trial {choice.trials[0]}" if len(choice.members) == 1 else counted(len(choice.members), "trial")
    with open_processes(how.workers) as processes:
        tell(StepStarted(f"replicating {trials} on {counted(n_fits * len(plan.folds), 'fold')}"))
        replicated = replicate_choice(plan, choice, seeds, as_it_is(processes))
        tell(StepStarted(f"training {counted(n_fits, 'member')}"))
        trained: TrainedModel = train_model(best, plan, choice, replicated, how, as_it_is(processes))
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
