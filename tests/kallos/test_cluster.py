"""Where a cluster is; what its workers do is in tests/integration."""

import socket

import pytest

from kallos.cluster import cluster_line
from kallos.dask_scheduler import cluster_address
from kallos.errors import StudyError, UsageError
from kallos.settings import Settings
from kallos.specs import RunSpec, parse_spec


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"executor": "dask", "dask_address": "host:8786"}, "must be a Dask scheduler's address, such as tcp"),
        ({"executor": "dask", "dask_address": "tcp://me:secret@host:8786"}, r"not 'tcp://\*\*\*@host:8786'"),
        ({"dask_address": "tcp://host:8786"}, "dask_address needs executor 'dask'"),
    ],
)
def test_an_address_that_names_no_scheduler_is_refused(run, said):
    with pytest.raises(UsageError, match=said):
        parse_spec(RunSpec, run)


def test_a_cluster_needs_an_address(home, monkeypatch):
    with pytest.raises(UsageError, match="give --dask-address tcp://HOST:8786 or KALLOS_DASK_ADDRESS"):
        cluster_address(RunSpec(executor="dask"), Settings.read().dask_address)
    monkeypatch.setenv("KALLOS_DASK_ADDRESS", "tcp://[::1]:8786")
    assert cluster_address(RunSpec(executor="dask"), Settings.read().dask_address) == "tcp://[::1]:8786"
    monkeypatch.setenv("KALLOS_DASK_ADDRESS", "8786")
    with pytest.raises(UsageError, match="a KALLOS_\\* setting is wrong: dask_address must be"):
        Settings.read()


def test_nobody_at_an_address_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("kallos.dask_scheduler.ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(StudyError, match=f"^a Dask scheduler must answer at tcp://127.0.0.1:{port}, and none did"):
        cluster_line(f"tcp://127.0.0.1:{port}")
