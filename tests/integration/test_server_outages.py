"""A study whose Prefect server goes away while it runs."""

import json

import pytest

from kallos.features.store import FeatureStore
from tests.integration.prefect_machine import PrefectMachine
from tests.samples import make_features

TUNE = [
    "kallos-run",
    "tune",
    "--asset-id",
    "ABC",
    "--model-name",
    "gru",
    "--n-folds",
    "2",
    "--window",
    "40",
    "--max-epochs",
    "1",
]


@pytest.fixture
def lone_machine(tmp_path):
    machine = PrefectMachine(tmp_path / "machine")
    machine.home.mkdir()
    try:
        with FeatureStore(f"sqlite:///{machine.home}/features.db") as store:
            store.write({"ABC": make_features()})
        machine.start_server()
        yield machine
    finally:
        machine.close()


def trials_of(lone_machine: PrefectMachine) -> int:
    """How many trials the terminal has shown."""
    return (lone_machine.folder / "tune.log").read_text().count("  rmse ")


def test_a_server_that_comes_back_has_the_whole_run(lone_machine):
    tune = lone_machine.start(*TUNE, "--n-trials", "12", log="tune")
    lone_machine.wait_until(lambda: trials_of(lone_machine) >= 1)
    lone_machine.stop_server()
    gone = trials_of(lone_machine)
    lone_machine.wait_until(lambda: trials_of(lone_machine) >= gone + 2)
    lone_machine.start_server()
    assert tune.wait(120) == 0, (lone_machine.folder / "tune.log").read_text()
    (run,) = lone_machine.post("flow_runs/filter")
    assert run["state_name"] == "Completed"
    assert "written to" in (lone_machine.folder / "tune.log").read_text()


def test_a_server_that_stays_away_costs_its_page_and_not_the_result(lone_machine):
    tune = lone_machine.start(*TUNE, "--n-trials", "6", log="tune", PREFECT_CLIENT_MAX_RETRIES="1")
    lone_machine.wait_until(lambda: trials_of(lone_machine) >= 1)
    lone_machine.stop_server()
    assert tune.wait(120) == 1
    said = (lone_machine.folder / "tune.log").read_text()
    assert json.loads((lone_machine.results / "gru_ABC_best_params.json").read_text())["n_trials"] == 6
    assert "written to" in said
    assert "Traceback" not in said
    assert "EventsWorker" not in said
    assert "Error logging to API" not in said
    last = said.splitlines()[-1]
    assert last.startswith("kallos-run: Prefect's API must answer until the end of a run, and ")
    assert "the result is complete, but the server lacks the run's state and artifacts" in last
