"""Workers, and the process that they are forked from."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from kallos.workers.forks import Worker, WorkerEndedError, WorkerHangsError, preload
from tests.processes import workers_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.end()


def process_ids():
    return os.getpid(), os.getppid()


def is_loaded(name):
    return name in sys.modules


def surroundings():
    return os.getcwd(), os.environ["KALLOS_TEST"], sys.path  # noqa: PTH109


def begun_or_none():
    try:
        return Worker()
    except WorkerEndedError:
        return None


def fail(error):
    raise error


class _Unpicklable(Exception):  # noqa: N818
    def __init__(self):
        super().__init__("cannot be sent")
        self.held = threading.Lock()


def fail_unpicklably():
    raise _Unpicklable


class _Unmakeable(Exception):  # noqa: N818
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_unmakeably():
    raise _Unmakeable("one", "two")


def test_workers_are_forked_from_one_process(worker):
    other = Worker()
    (one, parent), (two, same) = worker.run(process_ids), other.run(process_ids)
    assert one != two
    assert parent == same != os.getpid()
    assert {one, two} <= {each.pid for each in workers_of(psutil.Process())}
    process = psutil.Process(two)
    other.end()
    assert psutil.wait_procs([process], timeout=5)[0]


def test_a_worker_has_what_was_imported_before_it_began():
    preload(["wave"])
    late = Worker(["a_module_that_is_not_there", "tabnanny"])
    assert late.run(is_loaded, "wave")
    assert late.run(is_loaded, "tabnanny")
    assert not is_loaded("wave")
    late.end()


def test_a_worker_is_where_its_caller_is_when_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KALLOS_TEST", "set late")
    monkeypatch.syspath_prepend(tmp_path)
    begun = Worker()
    assert begun.run(surroundings) == (str(tmp_path), "set late", sys.path)
    begun.end()


def test_arithmetic_has_one_thread_in_a_worker(worker):
    assert worker.run(os.getenv, "OMP_NUM_THREADS") == worker.run(os.getenv, "OPENBLAS_NUM_THREADS") == "1"


def test_an_error_comes_back_with_the_place_where_it_was_raised(worker):
    with pytest.raises(ValueError, match=r"^no$") as raised:
        worker.run(fail, ValueError("no"))
    assert "in fail" in str(raised.value.__cause__)
    with pytest.raises(RuntimeError, match="_Unpicklable: cannot be sent"):
        worker.run(fail_unpicklably)
    with pytest.raises(RuntimeError, match="_Unmakeable: one and two"):
        worker.run(fail_unmakeably)
    assert worker.run(int, "1") == 1


def test_a_worker_that_has_not_answered_in_time_is_ended(worker):
    process = psutil.Process(worker.run(process_ids)[0])
    with pytest.raises(WorkerHangsError):
        worker.run(signal.pause, timeout=0.1)
    assert psutil.wait_procs([process], timeout=5)[0]
    with pytest.raises(WorkerEndedError):
        worker.run(process_ids)


def test_the_process_that_workers_are_forked_from_is_replaced_and_leaves_them_alone(worker):
    number, parent = worker.run(process_ids)
    psutil.Process(parent).kill()
    assert worker.run(process_ids)[0] == number
    # Until it is found dead.
    other = next(filter(None, (begun_or_none() for _ in range(10))))
    assert other.run(process_ids)[1] not in (parent, os.getpid())
    other.end()


UNGUARDED = """
import os, sys
from kallos.workers.forks import Worker

print("run", flush=True)

def double(number):
    return FACTOR * number

FACTOR = 2
print(Worker().run(double, 21), flush=True)
"""

HELD = """
import os, signal
from kallos.workers.forks import Worker

# A job in the background begins without it.
signal.signal(signal.SIGINT, signal.default_int_handler)
workers = [Worker(), Worker()]
print(*{number for worker in workers for number in worker.run(lambda: (os.getpid(), os.getppid()))}, flush=True)
workers[0].run(signal.pause)
"""


def test_a_script_without_a_guard_runs_once_and_sends_its_own_functions(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert (done.stdout, done.stderr) == ("run\n42\n", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_a_caller_that_is_ended(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(HELD)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        processes = [psutil.Process(int(each)) for each in holder.stdout.readline().split()]
        assert len(processes) == 3
        holder.send_signal(number)
        alive = psutil.wait_procs(processes, timeout=5)[1]
        holder.kill()
    assert not alive
