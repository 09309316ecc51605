"""The flow `evaluate`: a model on rows that its study never saw, beside naive forecasts and the model in use."""

import base64
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from flows.watching import ArtifactStore
from kallos import checks
from kallos.errors import DataError
from kallos.evaluation.document import evaluation_markdown, headline, write_evaluation
from kallos.evaluation.models import Contender, Evaluated, ScoredDates, evaluate_model, scored_dates, spec_of_rows
from kallos.evaluation.pictures import evaluation_png
from kallos.evaluation.results import HoldoutEvaluation
from kallos.looks import Look, LookCount, count_looks, record_look, sibling_folders
from kallos.manifest import Manifest
from kallos.model_files import load_model, read_manifest
from kallos.preprocessing import study_frame
from kallos.registry import Registry
from kallos.report import artifact_key
from kallos.result_folder import prepare_folder, refuse_relative, write_bytes
from kallos.settings import Settings

# In place of a folder: the model in use is the registry's current one, or there is none.
CURRENT, NOBODY = "current", "none"


@task(cache_policy=NO_CACHE)
def load_contender(folder: str, test_end_date: str | None) -> Contender:
    """Load a model, and the rows of its specification up to the last one that is scored."""
    settings = Settings.read()
    model = load_model(folder)
    spec = spec_of_rows(model.manifest, test_end_date)
    features, examination = checks.load_sound_features(
        settings.features_url, spec, now=datetime.now(UTC), timeout=settings.db_timeout
    )
    for warning in examination.warnings:
        get_run_logger().warning("%s", warning.line)
    return Contender(model, study_frame(features, spec.features, fill=spec.data.fill))


@task(cache_policy=NO_CACHE)
def log_look(folder: str, look: Look) -> LookCount:
    """Log that a model looks at a hold-out, before anyone sees what comes of it, and count all looks there."""
    record_look(folder, look)
    registered = Registry(Settings.read().registry_folder).folders(look.asset_id, look.target, look.horizon)
    return count_looks({*sibling_folders(folder), *registered}, look)


@task(cache_policy=NO_CACHE)
def judge(
    contender: Contender, dates: ScoredDates, looks: LookCount, in_use: Contender | None, is_in_use: bool
) -> Evaluated:
    """Forecast every row of the hold-out, and hold the forecasts against the others'."""
    return evaluate_model(contender, dates, looks=looks, in_use=in_use, is_in_use=is_in_use)


@flow(name="evaluate", flow_run_name="evaluate-{model}")
def evaluate(
    model: str,
    test_start_date: str | None = None,
    test_end_date: str | None = None,
    against: str = CURRENT,
    output_dir: str | None = None,
) -> HoldoutEvaluation:
    """Hold a trained model against naive forecasts, ridge and the model in use, on rows that its study never saw.

    Args:
        model: Model directory, or its fsspec URL.
        test_start_date: First row that is scored, inclusive; by default that of the hold-out that the study kept.
        test_end_date: Last row that is scored, inclusive; by default that of the hold-out, with a start the latest row.
        against: Directory of the model in use; 'current' is the registry's, 'none' is nobody.
        output_dir: Folder of the evaluation, or an fsspec URL of one; by default that of the worker's KALLOS_RESULTS.
    """
    logger = get_run_logger()
    folder = output_dir or Settings.read().results_folder
    if runtime.deployment.id:
        refuse_relative(folder)
    prepare_folder(folder)
    manifest = read_manifest(model)
    dates = scored_dates(manifest, test_start_date, test_end_date)
    contender = load_contender(model, dates.end)
    holdout = contender.holdout(dates)
    against = _folder_in_use(manifest) if against == CURRENT else against
    is_in_use = against != NOBODY and read_manifest(against).model_id == manifest.model_id
    in_use = None if against == NOBODY or is_in_use else load_contender(against, dates.end)
    look = contender.look(holdout, datetime.now(UTC))
    looks = log_look(model, look)
    evaluated: Evaluated = judge(_as_it_is(contender), dates, looks, _as_it_is(in_use), is_in_use)
    evaluation = evaluated.evaluation
    picture = evaluation_png(evaluation, evaluated.stamps, evaluated.actual, evaluated.forecast)
    # One look, by its id: now with what came of it.
    record_look(model, look.model_copy(update={"decision": evaluation.verdict.decision}))
    path = write_evaluation(evaluation, folder)
    write_bytes(folder, f"{evaluation.model_id}_evaluation.png", picture)
    logger.info("%s; the evaluation is in %s", headline(evaluation), path)
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


def _as_it_is(value: object) -> Any:
    """Keep Prefect from looking for other tasks' results in all parts of a model and its rows."""
    return quote(value)


def _folder_in_use(manifest: Manifest) -> str:
    """Return where the registry has the model in use, or nobody; one that forecasts no more is none, and said so."""
    registry = Registry(Settings.read().registry_folder)
    current = registry.current(manifest.asset_id, manifest.target, manifest.horizon)
    if current is None:
        return NOBODY
    folder = registry.folder_of(current.model_id)
    try:
        load_model(folder)
    except DataError as error:
        get_run_logger().warning("the model in use is not held against, since it forecasts no more: %s", error)
        return NOBODY
    return folder
