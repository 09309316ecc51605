"""Where a cluster is, and which of its workers gets a fold; real ones are in tests/integration."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from kallos.errors import StudyError, UsageError
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec
from kallos.study.budget import Budget
from kallos.tuner import run_tuning
from kallos.workers.dask import DaskPool, cluster_line
from kallos.workers.processes import WorkerLostError
from kallos.workers.scheduler import cluster_address
from tests.samples import by_parameters, content_of, small_job, small_plan


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
    with pytest.raises(UsageError, match="set `dask_address` to tcp://HOST:8786, or set KALLOS_DASK_ADDRESS"):
        cluster_address(RunSpec(executor="dask"), Settings.read().dask_address)
    monkeypatch.setenv("KALLOS_DASK_ADDRESS", "tcp://[::1]:8786")
    assert cluster_address(RunSpec(executor="dask"), Settings.read().dask_address) == "tcp://[::1]:8786"
    monkeypatch.setenv("KALLOS_DASK_ADDRESS", "8786")
    with pytest.raises(UsageError, match="a KALLOS_\\* setting is invalid: dask_address must be"):
        Settings.read()


def test_nobody_at_an_address_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("kallos.workers.scheduler.ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(StudyError, match=f"^a Dask scheduler must answer at tcp://127.0.0.1:{port}, and none did"):
        cluster_line(f"tcp://127.0.0.1:{port}")


class FakeWorker:
    """A worker of a cluster in this process: a fold is computed where it is submitted."""

    def submit(self, fold, **_):
        future = Future()
        try:
            future.set_result(fold())
        except Exception as error:
            future.set_exception(error)
        return future


class FakeClient:
    """What a pool asks of Dask's client, of workers by their addresses."""

    status = "running"

    def __init__(self, *addresses: str) -> None:
        self.workers = {address: FakeWorker() for address in addresses}
        self.scheduler = SimpleNamespace(identity=None)

    def sync(self, *_, **__):
        return {"workers": {address: {"nthreads": 1, "status": "running"} for address in self.workers}}

    def get_executor(self, workers, **_):
        return self.workers[workers[0]]

    def processing(self):
        return {}

    def close(self, timeout):
        pass


@pytest.fixture
def two_workers(monkeypatch) -> FakeClient:
    client = FakeClient("one", "two")
    monkeypatch.setattr("kallos.workers.dask._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("kallos.workers.dask.connect", lambda _: client)
    return client


def without_lstm(job):
    if job.fit.model_name == "lstm":
        raise ImportError("No module named 'lstm'")
    return by_parameters(job)


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("two_workers")
def test_workers_that_lack_one_architecture_are_refused_for_it_alone(tmp_path):
    gru, lstm = small_job(tmp_path), small_job(tmp_path, model_name="lstm")
    with DaskPool("here", evaluate=without_lstm) as pool:
        assert content_of(gru, pool.evaluate(gru)) == content_of(gru, by_parameters(gru))
        with pytest.raises(
            StudyError, match=r"compute lstm the same as this machine, and all at here are refused: one: No module"
        ):
            pool.evaluate(lstm)
        assert content_of(gru, pool.evaluate(gru)) == content_of(gru, by_parameters(gru))
        assert pool.line() == "the Dask cluster at here has 2 workers"


@pytest.mark.timeout(30)
def test_a_fold_goes_on_to_a_worker_that_has_its_architecture(tmp_path, two_workers):
    lstm = small_job(tmp_path, model_name="lstm")
    two_workers.workers["one"].submit = lambda *_, **__: raised(ImportError("No module named 'lstm'"))
    with DaskPool("here", evaluate=by_parameters) as pool:
        expected = content_of(lstm, by_parameters(lstm))
        assert [content_of(lstm, pool.evaluate(lstm)) for _ in range(2)] == [expected] * 2
        # The one that has served may come back, and the other one does not end the study.
        del two_workers.workers["two"]
        until(lambda: pool.line() == "the Dask cluster at here has 1 worker")
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(pool.evaluate, lstm)
            two_workers.workers["three"] = FakeWorker()
            assert content_of(lstm, waiting.result()) == expected


@pytest.fixture
def one_worker(two_workers) -> FakeClient:
    del two_workers.workers["two"]
    return two_workers


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("one_worker")
def test_a_fold_that_waits_for_a_worker_begins_within_the_budget_or_not_at_all(tmp_path, monkeypatch):
    plan, now, asked, begun = small_plan(tmp_path, n_trials=4), 0.0, [], []
    monkeypatch.setattr("kallos.study.budget.time", SimpleNamespace(monotonic=lambda: now))

    def evaluate(job):
        nonlocal now
        begun.append(job.name)
        until(lambda: len(asked) >= 4)
        now = 2.0
        return by_parameters(job)

    budget = Budget(timeout=1)
    with DaskPool("here", evaluate=evaluate) as pool:

        def score(job):
            asked.append(job.name)
            return pool.evaluate(job, budget.check)

        with pytest.raises(StudyError, match="none has ended: `timeout` 1 s is over"):
            run_tuning(plan, evaluate=score, workers=8, has_room=pool.has_room, budget=budget)
    assert (len(begun), budget.fits) == (1, 1)


@pytest.mark.timeout(30)
def test_an_error_ends_the_wait_of_other_folds_for_a_worker(tmp_path, one_worker):
    plan, asked, budget = small_plan(tmp_path, n_trials=4), [], Budget()

    def evaluate(job):
        until(lambda: len(asked) >= 4)
        one_worker.workers.clear()
        until(lambda: "no worker" in pool.line())
        raise OSError("the disk is full")

    with DaskPool("here", evaluate=evaluate) as pool:

        def score(job):
            asked.append(job.name)
            return pool.evaluate(job, budget.check)

        with pytest.raises(OSError, match="the disk is full"):
            run_tuning(plan, evaluate=score, workers=8, has_room=pool.has_room, budget=budget)


class GivenUp(Future):
    """A fold that asks somebody when it is given up, as Dask's asks the scheduler."""

    def __init__(self, ask) -> None:
        super().__init__()
        self._ask = ask

    def cancel(self):
        self._ask()
        return super().cancel()


@pytest.mark.timeout(30)
def test_no_thread_waits_for_another_that_asks_the_scheduler(tmp_path, two_workers, monkeypatch):
    job, asked = small_job(tmp_path), []

    def ask(what):
        """Ask for as long as another thread takes to look at the pool: for ever, if it has to wait for us."""
        other = ThreadPoolExecutor(1)
        try:
            other.submit(pool.has_room).result(timeout=5)
            asked.append(what)
        except TimeoutError:
            asked.append(f"{what} keeps others waiting")
        finally:
            other.shutdown(wait=False)

    def given(*_, **__):
        asked.append("given")
        return GivenUp(lambda: ask("give up"))

    pool = DaskPool("here", evaluate=by_parameters)
    look, processing = two_workers.sync, two_workers.processing
    monkeypatch.setattr(two_workers, "sync", lambda *a, **k: (ask("look"), look(*a, **k))[1])
    monkeypatch.setattr(two_workers, "processing", lambda: (ask("load"), processing())[1])
    with pool:
        assert content_of(job, pool.evaluate(job)) == content_of(job, by_parameters(job))
        for worker in two_workers.workers.values():
            worker.submit = lambda *_, **__: raised(ImportError("No module named 'lstm'"))
        with pytest.raises(StudyError, match="all at here are refused"):
            pool.evaluate(small_job(tmp_path, model_name="lstm"))
        for worker in two_workers.workers.values():
            worker.submit = given
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(pool.evaluate, job)
            until(lambda: "given" in asked)
            two_workers.workers.clear()
            with pytest.raises(WorkerLostError):
                waiting.result()
    assert set(asked) == {"look", "load", "given", "give up"}


def until(condition) -> None:
    while not condition():
        time.sleep(0.01)


def raised(error: Exception) -> Future:
    future = Future()
    future.set_exception(error)
    return future
