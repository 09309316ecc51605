"""The note that a failed run leaves among the results."""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger

from kallos.errors import KallosError
from kallos.settings import Settings
from kallos.specs.study import TuneSpec, parse_tune_spec, study_title
from kallos.study.best_params import write_failure
from kallos.study.names import failure_name, unread_failure_name
from kallos.study.trials import TRY_AGAIN
from kallos.words import scrubbed


def note_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write a note about a failed run to the results folder; the next result of its specification removes it.

    The run calls this when it fails, or the worker when the run's process is gone. Only warns if writing fails.
    """
    logger = flow_run_logger(flow_run, flow)
    try:
        address = _write(flow_run, state)
    except Exception as error:
        reason = error if isinstance(error, KallosError) else f"{type(error).__name__}: {error}"
        logger.warning("%s; could not write a note about it: %s", state.name, scrubbed(str(reason)))
    else:
        logger.warning("%s: see the note in %s", state.name, address)


def _write(flow_run: FlowRun, state: State[Any]) -> str:
    given = flow_run.parameters
    spec = _spec_of(given)
    failure = {
        "state": state.name,
        "message": state.message and scrubbed(state.message),
        "of": None if spec is None else study_title(spec),
        "flow_run": flow_run.name,
        "flow_run_id": str(flow_run.id),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "remedy": f"finished folds are kept: fix the cause, and the next run continues the study; {TRY_AGAIN}",
    }
    name = unread_failure_name(given) if spec is None else failure_name(spec)
    return write_failure(name, str(given.get("output_dir") or Settings.read().results_folder), failure)


def _spec_of(given: dict[str, Any]) -> TuneSpec | None:
    """Return the specification in a run's parameters, or None if it is missing or invalid."""
    try:
        return parse_tune_spec(given["spec"])
    except (KallosError, KeyError, TypeError):
        return None
