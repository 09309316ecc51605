"""Worker processes, forked from one server process, which imports once what all of them need.

They hold one end of a socket each, and this process the other: when it ends, however it ends, so do they. No worker
runs the main script again; functions of the script are sent as they are.
"""

import atexit
import gc
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

import cloudpickle
import psutil

from kallos.workers.watchdog import leaving_with_parent

Done = TypeVar("Done")

# Read by the libraries of a worker when they are loaded.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_SERVE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from kallos.workers.forks import serve; serve(int(sys.argv[2]))"
)
# What a process may take to import everything on a busy machine.
START_SECONDS = 300
_END_SECONDS = 5
_FORK = "fork"
# A process of macOS that has loaded its libraries for arithmetic must not fork.
_CAN_PRELOAD = sys.platform == "linux"


class WorkerEndedError(Exception):
    """A worker has ended before its work did."""


class WorkerHangsError(Exception):
    """A worker has not answered in time."""


class _RaisedInWorkerError(Exception):
    """Where work has failed: the cause of its error."""


class Worker:
    """A process that does one thing at a time; starting it raises as `run` does after `START_SECONDS`."""

    def __init__(self, preload: Iterable[str] = ()) -> None:
        self._connection = _server.fork(preload)
        self._process: psutil.Process | None = None
        context = {"path": sys.path, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        number = pickle.loads(self._answer(pickle.dumps(context), START_SECONDS))
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(number)

    def run(self, work: Callable[..., Done], *arguments: object, timeout: float | None = None) -> Done:
        """Do work there, and return its result.

        Raises `WorkerEndedError` if the process ends, `WorkerHangsError` if it has not answered after so many seconds,
        and the errors of the work. Only with the last can it go on.
        """
        error, where, result = pickle.loads(self._answer(_pickled((work, arguments)), timeout))
        if error is not None:
            raise error from _RaisedInWorkerError(where)
        done: Done = result
        return done

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()
            with suppress(OSError):
                # Its end of the socket closes with it.
                self._connection.poll(_END_SECONDS)
        self._connection.close()

    def _answer(self, message: bytes, timeout: float | None) -> bytes:
        try:
            self._connection.send_bytes(message)
            if self._connection.poll(timeout):
                return self._connection.recv_bytes()
        except (EOFError, OSError):
            self.end()
            raise WorkerEndedError from None
        except BaseException:
            # The answer would be taken for that to the next question.
            self.end()
            raise
        self.end()
        raise WorkerHangsError


class _Server:
    """The process that workers are forked from, started when it is first needed and again if it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def preload(self, modules: Iterable[str]) -> None:
        """Start the server if it does not run, and let it import these modules; does not wait for it."""
        with self._lock:
            self._ask(modules)

    def fork(self, preload: Iterable[str]) -> Connection:
        """Return the connection to a new process, which has these modules."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                self._ask(preload)
                self._control.send(_FORK)
                socket.send_fds(self._socket, [b"."], [theirs.fileno()])
            except OSError:
                ours.close()
                raise WorkerEndedError from None
        return Connection(ours.detach())

    def _ask(self, modules: Iterable[str]) -> None:
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError):
                self._control.send(list(modules))
                return
        self._start()
        self._control.send(list(modules))

    def _start(self) -> None:
        self.end()
        self._socket, theirs = socket.socketpair()
        self._control = Connection(os.dup(self._socket.fileno()))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, json.dumps(sys.path), str(theirs.fileno())],
                env={**os.environ, **_ONE_THREAD},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # The terminal's Ctrl-C does not reach it.
                start_new_session=True,
            )

    def end(self) -> None:
        """End the server if it runs; its workers end when their own connections do."""
        if self._process is not None:
            self._control.close()
            self._socket.close()
            self._process.kill()
            self._process.wait()
            self._process = None


_server = _Server()
atexit.register(_server.end)


def preload(modules: Iterable[str]) -> None:
    """Begin to import what workers will need, so that they start at once."""
    _server.preload(modules)


def serve(descriptor: int) -> NoReturn:
    """Import and fork as the process at the other end of a socket asks, until it is gone."""
    # The kernel forgets workers that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control, requests = Connection(os.dup(descriptor)), socket.socket(fileno=descriptor)
    with suppress(EOFError, OSError):
        while True:
            asked = control.recv()
            if asked != _FORK:
                _import(asked)
                continue
            _, (own, *_), _, _ = socket.recv_fds(requests, 1, 1)
            if os.fork() == 0:
                control.close()
                requests.close()
                _work(Connection(own))
            os.close(own)
    os._exit(0)


def _import(modules: list[str]) -> None:
    missing = [name for name in modules if name not in sys.modules]
    if not (missing and _CAN_PRELOAD):
        return
    with leaving_with_parent():
        for name in missing:
            # A worker that needs it will say what is wrong.
            with suppress(Exception):
                import_module(name)
    # Workers share the memory of what is there as long as nobody writes to it.
    gc.collect()
    gc.freeze()


def _work(connection: Connection) -> NoReturn:
    """Do what is asked in a new process, until the asking one is gone."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        context = pickle.loads(connection.recv_bytes())
        sys.path[:] = context["path"]
        os.chdir(context["folder"])
        os.environ.clear()
        os.environ.update({**context["environment"], **_ONE_THREAD})
        threading.Thread(target=_leave_at_hang_up, args=(connection.fileno(),), name="hang-up", daemon=True).start()
        connection.send_bytes(pickle.dumps(os.getpid()))
        while True:
            connection.send_bytes(_outcome(connection.recv_bytes()))
    except (EOFError, OSError, SystemExit):
        # Lightning turns a SIGTERM into an exit.
        os._exit(0)
    finally:
        os._exit(1)


def _outcome(asked: bytes) -> bytes:
    """Do work, and return its error, where it was raised, and its result."""
    try:
        work, arguments = pickle.loads(asked)
        return _pickled((None, None, work(*arguments)))
    except Exception as error:
        where = f"\n{traceback.format_exc()}"
        try:
            answer = _pickled((error, where, None))
            # Some errors can be sent, and not be made anew.
            pickle.loads(answer)
            return answer
        except Exception:
            return pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), where, None))


def _pickled(content: object) -> bytes:
    # Functions of a script go by value.
    pickled: bytes = cloudpickle.dumps(content)
    return pickled


def _leave_at_hang_up(descriptor: int) -> None:
    poll = select.poll()
    # Nothing but the end of the other side.
    poll.register(descriptor, 0)
    poll.poll()
    os._exit(1)
