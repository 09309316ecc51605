"""One machine with everything deployed, for all tests of deployments and of what the UI shows of them."""

import re
from collections.abc import Iterator

import pytest

from kallos.features.store import FeatureStore
from tests.integration.prefect_machine import ROOT, PrefectMachine
from tests.samples import make_features


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectMachine]:
    """The demo's features, a server, the work pool, all deployments, and a worker."""
    machine = PrefectMachine(tmp_path_factory.mktemp("machine"))
    try:
        machine.start_server()
        for command in (
            "kallos-run ingest --demo",
            "prefect --no-prompt work-pool create kallos --type process --base-job-template deployments/work-pool.json",
            "prefect --no-prompt deploy --all",
        ):
            done = machine.run(*command.split(), cwd=ROOT)
            assert done.returncode == 0, done.stdout + done.stderr
        with FeatureStore(f"sqlite:///{machine.home}/features.db") as store:
            store.write({"ABC": make_features()}, table_name="small")
        machine.start_worker()
        yield machine
    finally:
        machine.close()


@pytest.fixture(scope="session")
def night(machine: PrefectMachine) -> str:
    """The id of a night's run, as deployed."""
    done = machine.run("prefect", "deployment", "run", "tune/nightly", "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    (run_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", done.stdout)
    return run_id
