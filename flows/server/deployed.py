"""Studies as runs of a deployment: scheduled, or found on their way, and followed until each has ended."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from kallos.errors import KallosError, UsageError
from kallos.report.leaderboard import Entry
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.study.best_params import read_latest
from kallos.words import scrubbed, shorten

Found = TypeVar("Found")

_TAKES = ("spec", "run", "output_dir")
_ON_THEIR_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]
_SECONDS_BETWEEN_LOOKS = 2.0
# A server that restarts, or whose database does, is back long before.
_PATIENCE_SECONDS = 3600.0
# The most runs that the API returns at once.
_RUNS_AT_ONCE = 100


@dataclass(frozen=True)
class Deployment:
    """A deployment that runs studies, as the server knows it."""

    name: str
    id: UUID


@dataclass(frozen=True)
class _Started:
    """A study whose run is on its way, and the best-parameters document that lay in the folder before."""

    spec: TuneSpec
    before: dict[str, Any] | None


def find_deployment(name: str) -> Deployment:
    """Return the deployment `FLOW/NAME`; raises `UsageError` if there is none, or if it takes no study."""
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(name)
    except (ObjectNotFound, ValueError):
        raise UsageError(
            f"--deployment must be one that the Prefect server has, as FLOW/NAME, not {name!r}: 'prefect deployment "
            f"ls' lists them, 'prefect deploy --all' makes ours"
        ) from None
    except httpx.HTTPStatusError as error:
        raise KallosError(f"Prefect's API must answer, and says {_words(error)}: look at the server's log") from None
    taken = list((found.parameter_openapi_schema or {}).get("properties", {}))
    if not set(_TAKES) <= set(taken):
        raise UsageError(
            f"--deployment must be one of the flow 'tune', which takes {shorten(_TAKES)}, and {name!r} takes "
            f"{shorten(taken) or 'nothing'}: name another, such as tune/adhoc"
        )
    return Deployment(name, found.id)


def run_deployed(
    studies: Sequence[TuneSpec],
    run: RunSpec,
    output_dir: str | None,
    folder: str,
    deployment: Deployment,
    *,
    found_now: Callable[[TuneSpec], Mapping[str, Any] | None],
    tell: Callable[[str], None],
) -> Iterator[Entry]:
    """Run the studies as runs of a deployment, all at once, and yield how each has ended.

    A run of the same study that is on its way already is waited for, and none is scheduled beside it. `found_now`
    returns the document among the results that is of the rows of now, if there is one; `tell` hears what is waited
    for, when it changes.
    Raises `UsageError` if the deployment refuses a study, `KallosError` if the server does not answer for an hour.
    """
    api = _PatientApi(tell)
    others = api.ask(lambda: _runs_on_their_way(deployment))
    waiting: dict[UUID, _Started] = {}
    for spec in studies:
        parameters = {
            "spec": spec.model_dump(mode="json"),
            "run": run.model_dump(mode="json"),
            "output_dir": output_dir,
        }
        started = _Started(spec, _document(spec, folder))
        found = next((each.id for each in others if parameters.items() <= each.parameters.items()), None)
        waiting[found or _schedule(api, parameters, deployment)] = started
    adopted = sum(each.id in waiting for each in others)
    if adopted:
        tell(f"runs of {deployment.name} that were on their way already, and are waited for: {adopted}")
    said = None
    while waiting:
        runs = api.ask(lambda: _read(list(waiting)))
        for run_id in list(waiting):
            flow_run = runs.get(run_id)
            if flow_run is None or (flow_run.state is not None and flow_run.state.is_final()):
                yield _entry_of(waiting.pop(run_id), flow_run, folder, found_now)
        counts = _counts([runs[run_id] for run_id in waiting])
        if waiting and counts != said:
            tell(f"runs of {deployment.name}: {counts}")
            said = counts
        if waiting:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


class _PatientApi:
    """Asks Prefect's API again and again while it does not answer, or says that it cannot."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def ask(self, question: Callable[[], Found]) -> Found:
        gives_up, said = time.monotonic() + _PATIENCE_SECONDS, False
        while True:
            try:
                return question()
            except httpx.HTTPError as error:
                if isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error:
                    raise
                if time.monotonic() >= gives_up:
                    raise KallosError(
                        f"Prefect's API must answer, and has not for {_PATIENCE_SECONDS / 60:.0f} minutes: "
                        f"{_words(error)}; the runs go on, and the same command waits for them"
                    ) from None
                if not said:
                    self._tell(f"Prefect's API does not answer, and is asked again: {_words(error)}")
                    said = True
                time.sleep(_SECONDS_BETWEEN_LOOKS)


def _runs_on_their_way(deployment: Deployment) -> list[FlowRun]:
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ON_THEIR_WAY)),
    )
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=wanted, limit=_RUNS_AT_ONCE, offset=len(found)):
            found += page
    return found


def _schedule(api: _PatientApi, parameters: dict[str, Any], deployment: Deployment) -> UUID:
    # A run that the server has made, and whose making it could not answer, is not made twice.
    key = str(uuid4())

    def schedule() -> UUID:
        # Not to wait here is what lets the work pool run several.
        made: Any = run_deployment(deployment.name, parameters=parameters, timeout=0, idempotency_key=key)
        run_id: UUID = made.id
        return run_id

    try:
        return api.ask(schedule)
    except (ObjectNotFound, httpx.HTTPStatusError) as error:
        raise UsageError(
            f"--deployment must take our studies, and {deployment.name!r} refuses one: {_words(error)}; "
            f"'prefect deploy --all' makes ours anew"
        ) from None


def _read(ids: Sequence[UUID]) -> dict[UUID, FlowRun]:
    """Return the runs that the server still has."""
    runs: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        for first in range(0, len(ids), _RUNS_AT_ONCE):
            some = FlowRunFilter(id=FlowRunFilterId(any_=list(ids[first : first + _RUNS_AT_ONCE])))
            runs += client.read_flow_runs(flow_run_filter=some, limit=_RUNS_AT_ONCE)
    return {each.id: each for each in runs}


def _counts(runs: Sequence[FlowRun]) -> str:
    running = sum(each.state is not None and each.state.is_running() for each in runs)
    return f"{running} running, {len(runs) - running} waiting for a worker"


def _entry_of(
    started: _Started,
    flow_run: FlowRun | None,
    folder: str,
    found_now: Callable[[TuneSpec], Mapping[str, Any] | None],
) -> Entry:
    spec = started.spec
    if flow_run is None:
        return Entry.failed(spec, "its run is gone: it was deleted from the server")
    state = flow_run.state
    assert state is not None
    if not state.is_completed():
        return Entry.failed(spec, scrubbed(f"its run {flow_run.name} is {state.name}: {state.message}"))
    document: Mapping[str, Any] | None = _document(spec, folder)
    try:
        # A file of an earlier run would be there, too, where the worker writes to another folder: one that has not
        # changed counts only if a run of now could not have changed it. And the latest may be another study's by now.
        if document is None or document == started.before or document.get("spec") != spec.model_dump(mode="json"):
            document = found_now(spec)
        if document is not None:
            return Entry.of(spec, document)
    except Exception as error:  # Whatever is wrong with one study's file, the others go on.
        return Entry.failed(spec, scrubbed(f"its result in {folder} cannot be read: {error}"))
    return Entry.failed(
        spec, scrubbed(f"its result must be in {folder}, and is not: give an --output-dir that its worker shares")
    )


def _document(spec: TuneSpec, folder: str) -> dict[str, Any] | None:
    try:
        return read_latest(spec, folder)
    except KallosError:
        return None


def _words(error: Exception) -> str:
    return scrubbed((str(error) or type(error).__name__).splitlines()[0])
