"""A schedule that asks for work only on sessions of an exchange, on a real Prefect server."""

from datetime import datetime

import pytest
from prefect.runtime import flow_run

from flows.nightly import nightly
from flows.tune import tune
from kallos.errors import DatabaseError, UsageError
from kallos.specs.run import RunSpec
from tests.samples import small_spec

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

ALONE = RunSpec(workers=1)


@pytest.fixture
def scheduled(monkeypatch):
    """Make runs scheduled for a time."""

    def at(moment: str) -> None:
        # Prefect computes the attribute when it is read, so there is none to replace.
        monkeypatch.setitem(vars(flow_run), "scheduled_start_time", datetime.fromisoformat(moment))

    return at


def study(**data: str):
    return small_spec(data=data, folds={"holdout": 1})


@pytest.mark.parametrize("flow", [tune, nightly], ids=["tune", "nightly"])
def test_on_a_holiday_a_run_is_complete_at_once_and_has_done_nothing(flow, scheduled, tmp_path):
    # Thanksgiving.
    scheduled("2026-11-26T23:00:00+00:00")
    results = tmp_path / "results"
    state = flow(study(market="NYSE"), ALONE, str(results), only_on_sessions=True, return_state=True)
    assert state.is_completed()
    assert state.message == "no session of NYSE on 2026-11-26: nothing to do"
    assert not results.exists()
    # Nor does the process of a deployment's run fail for want of a result.
    assert flow(study(market="NYSE"), ALONE, str(results), only_on_sessions=True) is None


@pytest.mark.parametrize(
    ("data", "moment"),
    [
        ({"market": "NYSE"}, "2026-11-27T23:00:00+00:00"),
        # Saturday in UTC, and still Friday in New York.
        ({"market": "NYSE", "days_in": "America/New_York"}, "2026-11-28T01:00:00+00:00"),
        # Thanksgiving is a session in London.
        ({"market": "XLON"}, "2026-11-26T23:00:00+00:00"),
    ],
    ids=["Friday", "Friday in its zone", "London"],
)
def test_on_a_session_a_run_begins(data, moment, scheduled):
    scheduled(moment)
    # There is no database to read: the run has begun its work.
    with pytest.raises(DatabaseError):
        tune(study(**data), ALONE, "results", only_on_sessions=True)


def test_without_an_exchange_sessions_are_refused_in_one_line():
    with pytest.raises(UsageError, match=r"^'only_on_sessions' needs an exchange: set `market` to NYSE, for example$"):
        tune(study(), ALONE, "results", only_on_sessions=True)
