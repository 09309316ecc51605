"""What is left of a run that did not end well: a note beside the results."""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger

from kallos.errors import scrubbed
from kallos.report import write_failure
from kallos.settings import Settings
from kallos.specs import parse_tune_spec


def note_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write what became of a run as `MODEL_ASSET_failure.json`; the next result removes it.

    The run itself calls this when it fails, and the worker when the run's process is gone.
    """
    given = flow_run.parameters
    failure = {
        "state": state.name,
        "message": state.message and scrubbed(state.message),
        "flow_run": flow_run.name,
        "flow_run_id": str(flow_run.id),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "remedy": "finished folds are kept: once the cause is mended, the next run of the same study carries it on",
    }
    folder = given.get("output_dir") or Settings.read().results_folder
    address = write_failure(parse_tune_spec(given["spec"]), str(folder), failure)
    flow_run_logger(flow_run, flow).warning("%s: what happened is in %s", state.name, address)
