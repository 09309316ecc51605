"""What `kallos-run doctor` says of a cluster without one, of the store, and of schedules as a server tells them."""

from contextlib import nullcontext
from types import SimpleNamespace

import prefect
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.evaluate import evaluate
from flows.nightly import nightly
from flows.server.diagnosis import check_cluster, check_prefect, check_store
from flows.train import train
from flows.tune import tune
from flows.tune_all import tune_all
from kallos.settings import Settings


def test_a_cluster_is_looked_at_only_where_the_settings_name_one(home):
    assert list(check_cluster(Settings())) == []
    (finding,) = check_cluster(Settings(dask_address="tcp://127.0.0.1:9"))
    assert (finding.state, finding.subject) == ("bad", "cluster")
    assert finding.message.startswith("a Dask scheduler must answer at tcp://127.0.0.1:9, and none did")
    # A remedy of this command, which has no flag for it.
    assert "--" not in finding.message


def test_a_shared_store_is_written_to_where_the_settings_name_one(home, tmp_path):
    assert list(check_store(Settings())) == []
    (finding,) = check_store(Settings(store=str(tmp_path / "shared")))
    assert (finding.state, finding.message) == ("ok", f"{tmp_path}/shared is writable")
    (tmp_path / "file").touch()
    (finding,) = check_store(Settings(store=str(tmp_path / "file")))
    assert finding.state == "bad"
    assert finding.message.startswith(f"KALLOS_STORE: the output folder must be writable: {tmp_path}/file/snapshots")


def schedules_said(monkeypatch, **deployments: tuple[bool, bool]) -> dict[str, str]:
    """Return how the deployments of flows are found, of which each is paused or not, with a schedule on or off."""

    def read_deployments(flow_filter):
        (flow,) = flow_filter.name.any_
        if flow not in deployments:
            return []
        paused, active = deployments[flow]
        schedules = [SimpleNamespace(active=active)]
        return [SimpleNamespace(id=None, name="night", paused=paused, schedules=schedules, work_pool_name="kallos")]

    client = SimpleNamespace(
        api_healthcheck=lambda: None,
        api_version=lambda: prefect.__version__,
        read_work_pool=lambda name: SimpleNamespace(is_paused=False, type="process", base_job_template={}),
        read_workers_for_work_pool=lambda name: [],
        read_deployments=read_deployments,
        read_flow_runs=lambda **_: [],
    )
    monkeypatch.setattr("flows.server.diagnosis.get_client", lambda **_: nullcontext(client))
    monkeypatch.setattr("flows.server.diagnosis.DeploymentFilterId", lambda any_: None)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        found = list(check_prefect("kallos"))
    return {each.message.partition(" ")[0]: each.state for each in found if each.subject == "schedule"}


@pytest.mark.parametrize("flow", [tune, tune_all, nightly, train, evaluate])
def test_a_night_of_any_flow_that_is_paused_is_seen(monkeypatch, flow):
    assert schedules_said(monkeypatch, **{flow.name: (True, True)}) == {f"{flow.name}/night": "bad"}
    assert schedules_said(monkeypatch, **{flow.name: (False, False)}) == {f"{flow.name}/night": "bad"}


def test_a_schedule_that_is_off_beside_one_that_is_on_is_worth_a_note(monkeypatch):
    said = schedules_said(monkeypatch, tune=(False, True), nightly=(False, False))
    assert said == {"tune/night": "note", "nightly/night": "note"}
