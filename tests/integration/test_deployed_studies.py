"""Studies that are runs of a deployment, followed against a real server; the tests do what its workers would."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Failed

import flows.server.deployed
from flows.tune import tune
from flows.tune_all import looking_on, tune_all
from kallos.errors import KallosError, StudyError, UsageError
from kallos.features.store import FeatureStore
from kallos.settings import Settings
from kallos.specs.grid import StudyGrid
from kallos.specs.run import RunSpec
from kallos.study.best_params import write_best_params
from kallos.tuner import run_tuning
from tests.samples import by_parameters, make_features, small_plan, small_spec

ASSETS = ("DONE", "GONE", "LOST", "POOR", "SAME")


class KilledError(Exception):
    """What ends the command in these tests, once its runs are scheduled."""


class Command:
    """`tune-all --as deployment` of a deployment that no worker serves, in this process."""

    def __init__(self, folder) -> None:
        # A deployment of its own has no runs of another test.
        name = f"studies-{uuid4().hex}"
        self.deployment, self.folder = f"tune/{name}", folder
        self._id = tune.to_deployment(name).apply()
        self.heard: list[str] = []
        self.entries: dict[str, tuple[str, str | None]] = {}

    def run(self, hear=lambda line: None, run: RunSpec | None = None) -> None:
        def listen(line: str) -> None:
            self.heard.append(line)
            hear(line)

        def look(entry, _) -> None:
            self.entries[entry.asset] = entry.status, entry.reason

        with looking_on(look, listen):
            tune_all(
                StudyGrid(spec=small_spec(), assets=ASSETS, models=("gru",)),
                run or RunSpec(),
                output_dir=str(self.folder),
                place="deployment",
                deployment=self.deployment,
            )

    def runs(self) -> dict[str, FlowRun]:
        """The deployment's runs by their assets."""
        ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._id]))
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=ours)
        by_asset = {each.parameters["spec"]["data"]["asset_id"]: each for each in runs}
        assert len(by_asset) == len(runs)
        return by_asset


@pytest.fixture
def command(home, prefect_server, tmp_path, monkeypatch) -> Command:
    monkeypatch.setattr(flows.server.deployed, "_SECONDS_BETWEEN_LOOKS", 0.01)
    with FeatureStore(Settings.read().features_url) as store:
        store.write({asset: make_features(seed=number) for number, asset in enumerate(ASSETS)})
    return Command(tmp_path / "results")


def write_result(command: Command, asset: str, rows: int = 400, **over: Any) -> None:
    """Leave a study's best parameters as its run does."""
    features = make_features(rows, seed=ASSETS.index(asset))
    plan = small_plan(command.folder, features, data={"asset_id": asset}, **over)
    write_best_params(run_tuning(plan, score_fold=by_parameters), str(command.folder))


def kill(line: str) -> None:
    if "waiting for a worker" in line:
        raise KilledError


def test_runs_of_a_command_that_was_killed_are_waited_for_and_each_end_is_told_as_it_is(command):
    # The run of this study, on more rows, will write its result where nobody here sees it; that one changes nothing.
    write_result(command, "LOST", rows=360)
    write_result(command, "SAME")
    with suppress(KilledError):
        command.run(kill)
    scheduled = command.runs()
    assert set(scheduled) == set(ASSETS)
    assert command.heard == [f"runs of {command.deployment}: 0 running, 5 waiting for a worker"]

    def work(line: str) -> None:
        if "waiting for a worker" not in line:
            return
        write_result(command, "DONE")
        # By then the latest of this model, asset and target is somebody else's.
        write_result(command, "DONE", horizon=2)
        with get_client(sync_client=True) as client:
            for asset in ("DONE", "LOST", "SAME"):
                client.set_flow_run_state(scheduled[asset].id, Completed(), force=True)
            client.set_flow_run_state(scheduled["POOR"].id, Failed(message="too few rows"), force=True)
            client.delete_flow_run(scheduled["GONE"].id)

    with pytest.raises(StudyError, match="3 of 5 have none: gru on GONE, gru on LOST, gru on POOR"):
        command.run(work)
    assert command.heard[1] == f"runs of {command.deployment} that were on their way already, and are waited for: 5"
    assert {asset: each.id for asset, each in command.runs().items()} == {
        asset: each.id for asset, each in scheduled.items() if asset != "GONE"
    }
    assert command.entries["DONE"] == command.entries["SAME"] == ("done", None)
    assert command.entries["GONE"] == ("failed", "its run is gone: it was deleted from the server")
    assert "result must be in" in command.entries["LOST"][1]
    assert command.entries["POOR"][1].endswith("is Failed: too few rows")


def test_a_run_that_is_carried_otherwise_is_no_run_to_wait_for(command):
    with suppress(KilledError):
        command.run(kill)
    with suppress(KilledError):
        command.run(kill, RunSpec(more_trials=1))
    assert not any("already" in line for line in command.heard)


def test_a_server_that_cannot_answer_for_a_while_ends_nothing(command, monkeypatch):
    answers = iter(["500", "lost"])

    def client(*args, **kwargs):
        answer = next(answers, None)
        if answer == "500":
            response = httpx.Response(500, request=httpx.Request("POST", "http://here/api"))
            raise httpx.HTTPStatusError("500 Internal Server Error", request=response.request, response=response)
        if answer == "lost":
            raise httpx.ConnectError("connection refused")
        return get_client(*args, **kwargs)

    def work(line: str) -> None:
        if line.endswith("5 waiting for a worker"):
            # From now on the server cannot answer twice.
            monkeypatch.setattr(flows.server.deployed, "get_client", client)
            with get_client(sync_client=True) as mine:
                for each in command.runs().values():
                    mine.set_flow_run_state(each.id, Failed(message="no rows"), force=True)

    with pytest.raises(StudyError, match="5 of 5 have none"):
        command.run(work)
    assert command.heard[1:] == ["Prefect's API does not answer, and is asked again: 500 Internal Server Error"]
    assert {reason.rsplit(": ")[-1] for _, reason in command.entries.values()} == {"no rows"}


def test_an_outage_without_end_ends_the_command_with_one_clear_line(command, monkeypatch):
    monkeypatch.setattr(flows.server.deployed, "_PATIENCE_SECONDS", 0.0)

    def client(*_, **__):
        raise httpx.ConnectError("connection refused")

    def listen(line: str) -> None:
        monkeypatch.setattr(flows.server.deployed, "get_client", client)

    with pytest.raises(
        KallosError, match=r"^Prefect's API must answer, and has not for .*: connection refused; the runs"
    ):
        command.run(listen)


@flow(name="other")
def other(grid: str = "") -> None:
    """Take no study."""


@pytest.mark.parametrize("name", ["tune/none", "adhoc"])
@pytest.mark.usefixtures("home", "prefect_server")
def test_a_deployment_that_is_not_there_is_one_clear_line(tmp_path, name):
    grid = StudyGrid(spec=small_spec(), assets=("ABC",), models=("gru",))
    with pytest.raises(UsageError, match=f"--deployment must be one that the Prefect server has, .* not '{name}'"):
        tune_all(grid, output_dir=str(tmp_path), place="deployment", deployment=name)


@pytest.mark.usefixtures("home", "prefect_server")
def test_a_deployment_that_takes_no_study_is_one_clear_line(tmp_path):
    other.to_deployment("one").apply()
    grid = StudyGrid(spec=small_spec(), assets=("ABC",), models=("gru",))
    with pytest.raises(UsageError, match=r"one of the flow 'tune', which takes spec, .*'other/one' takes grid"):
        tune_all(grid, output_dir=str(tmp_path), place="deployment", deployment="other/one")


@flow(name="strict")
def strict(spec: int, run: dict[str, Any], output_dir: str | None = None) -> None:
    """Take something else by the names of a study's parameters."""


def test_a_deployment_that_refuses_a_study_is_one_clear_line(command):
    strict.to_deployment("one").apply()
    command.deployment = "strict/one"
    with pytest.raises(UsageError, match=r"must take our studies, and 'strict/one' refuses one: .*spec") as caught:
        command.run()
    assert "\n" not in str(caught.value)
