"""The flow `evaluate`: judge a model on rows that its study never saw, against baselines and the champion."""

import base64
import posixpath
from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.server.arguments import as_it_is, results_folder
from flows.session import keeping_rows, reader
from flows.watching import ArtifactStore
from kallos import checks
from kallos.baselines.window import Window
from kallos.errors import KallosError
from kallos.evaluation.forecasts import refuse_too_few
from kallos.evaluation.models import (
    Evaluated,
    ModelWithRows,
    ScoredDates,
    evaluate_model,
    opposing,
    scored_dates,
    spec_of_rows,
)
from kallos.evaluation.results import HoldoutEvaluation
from kallos.folds.study import rows_of_asset
from kallos.models.files import load_model, read_manifest
from kallos.models.holdout_evaluations import (
    EvaluationCount,
    EvaluationRecord,
    count_evaluations,
    record_evaluation,
    sibling_folders,
)
from kallos.models.manifest import Manifest
from kallos.models.registry import Registry
from kallos.models.trained import TrainedModel
from kallos.report.evaluation import evaluation_markdown, headline, write_evaluation
from kallos.report.holdout_pictures import evaluation_png
from kallos.settings import Settings
from kallos.storage import Folder
from kallos.study.names import artifact_key, evaluation_name


@dataclass(frozen=True)
class Champion:
    """The champion if there is one; whether it is the challenger itself; why it could not be loaded."""

    model: ModelWithRows | None = None
    is_itself: bool = False
    missing: str | None = None


# Values of `against` that are no folders.
CHAMPION, NOBODY = "champion", "none"


@task(cache_policy=NO_CACHE)
def load_model_with_rows(model: TrainedModel, test_end_date: str | None) -> ModelWithRows:
    """Load the rows of a model's specification up to the last scored row."""
    spec = spec_of_rows(model.manifest, test_end_date)
    features, examination = checks.load_features_to_score(reader(), spec, now=datetime.now(UTC))
    for warning in examination.warnings:
        get_run_logger().warning("%s", warning.line)
    return ModelWithRows(model, rows_of_asset(features, spec))


@task(cache_policy=NO_CACHE)
def log_evaluation(folder: str, record: EvaluationRecord) -> EvaluationCount:
    """Log a hold-out evaluation before anyone sees its result, and count all evaluations on this hold-out."""
    record_evaluation(folder, record)
    ledger = Settings.read().registry_folder
    # Log it in the registry, too: the model's folder may be elsewhere, or be deleted.
    record_evaluation(ledger, record)
    registered = Registry(ledger).folders(record.asset_id, record.target, record.horizon)
    return count_evaluations({ledger, *sibling_folders(folder), *registered}, record)


@task(cache_policy=NO_CACHE)
def judge(challenger: ModelWithRows, dates: ScoredDates, count: EvaluationCount, champion: Champion) -> Evaluated:
    """Forecast every row of the hold-out, and compare the forecasts with the others'."""
    return evaluate_model(
        challenger,
        dates,
        count=count,
        champion=champion.model,
        is_champion=champion.is_itself,
        unopposed=champion.missing,
    )


def run_name() -> str:
    """Return a run's name, without the path of the model, which may hold a password."""
    return f"evaluate-{posixpath.basename(str(runtime.flow_run.parameters['model']).rstrip('/'))}"


@flow(name="evaluate", flow_run_name=run_name)
def evaluate(
    model: str,
    test_start_date: str | None = None,
    test_end_date: str | None = None,
    against: str = CHAMPION,
    output_dir: str | None = None,
) -> HoldoutEvaluation:
    """Judge a model on rows that its study never saw, against baselines, HAR, ridge and the champion.

    Args:
        model: Model directory, or its fsspec URL.
        test_start_date: First row to score; by default the start of the study's hold-out.
        test_end_date: Last row to score; by default the end of the study's hold-out, or the latest row if you give a
            start.
        against: Directory of the model to compare with, 'champion' for the registry's, or 'none'.
        output_dir: Results folder, or its fsspec URL; by default the worker's KALLOS_RESULTS.
    """
    folder = results_folder(output_dir)
    trained = load_model(model)
    dates = scored_dates(trained.manifest, test_start_date, test_end_date)
    with keeping_rows():
        return evaluate_and_keep(trained, model, dates, against, folder)


def evaluate_and_keep(
    trained: TrainedModel, model: str, dates: ScoredDates, against: str, folder: str
) -> HoldoutEvaluation:
    """Judge a model from the folder `model`, log the evaluation, and write it to `folder`; called in a flow."""
    logger, manifest = get_run_logger(), trained.manifest
    challenger: ModelWithRows = load_model_with_rows(as_it_is(trained), dates.end)
    holdout = challenger.holdout(dates)
    champion = _champion(against, manifest, dates, holdout)
    refuse_too_few(holdout)
    record = challenger.evaluation_record(holdout, datetime.now(UTC))
    count = log_evaluation(model, record)
    evaluated: Evaluated = judge(as_it_is(challenger), dates, count, as_it_is(champion))
    evaluation = evaluated.evaluation
    picture = evaluation_png(evaluation, evaluated.timestamps, evaluated.actual, evaluated.forecast)
    # The same evaluation, by its id, now with the decision.
    for log_folder in (model, Settings.read().registry_folder):
        record_evaluation(log_folder, record.model_copy(update={"decision": evaluation.verdict.decision}))
    path = write_evaluation(evaluation, folder)
    Folder(folder).write(evaluation_name(evaluation.model_id, "png"), picture)
    logger.info("%s; evaluation in %s", headline(evaluation), path)
    artifacts = ArtifactStore(logger)
    artifacts.store(
        create_markdown_artifact,
        key=artifact_key("evaluation", manifest.spec),
        markdown=evaluation_markdown(evaluation),
        description=headline(evaluation),
    )
    artifacts.store(
        create_image_artifact,
        key=artifact_key("evaluation-plots", manifest.spec),
        image_url=f"data:image/png;base64,{base64.b64encode(picture).decode()}",
        description=headline(evaluation),
    )
    return evaluation


def _champion(against: str, manifest: Manifest, dates: ScoredDates, holdout: Window) -> Champion:
    """Return the champion, ready to forecast the hold-out, or the reason if the registry's champion cannot."""
    if against == NOBODY:
        return Champion()
    if against != CHAMPION:
        is_itself = read_manifest(against).model_id == manifest.model_id
        return Champion(is_itself=True) if is_itself else _ready(against, dates, holdout)
    registry = Registry(Settings.read().registry_folder)
    entry = registry.champion(manifest.asset_id, manifest.target_label, manifest.horizon)
    if entry is None:
        return Champion()
    if entry.model_id == manifest.model_id:
        return Champion(is_itself=True)
    try:
        return _ready(registry.folder_of(entry.model_id), dates, holdout)
    except KallosError as error:
        missing = (
            f"The champion, {entry.model_id}, could not be compared and is kept: {error}. To use the new model anyway, "
            f"promote it (kallos-run models promote {manifest.model_id})."
        )
        get_run_logger().warning("%s", missing)
        return Champion(missing=missing)


def _ready(folder: str, dates: ScoredDates, holdout: Window) -> Champion:
    model: ModelWithRows = load_model_with_rows(as_it_is(load_model(folder)), dates.end)
    opposing(model, dates, holdout)
    return Champion(model)
