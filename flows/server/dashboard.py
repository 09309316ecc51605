"""Optuna's dashboard of the recorded studies, read-only and only for browsers on this machine."""

import json
import signal
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import FrameType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage
from optuna_dashboard import wsgi

from kallos.errors import UsageError

HOST = "127.0.0.1"

_REFUSAL = (
    "this dashboard is read-only: use 'kallos-run tune' to create studies, and 'kallos-run studies delete' to delete "
    "them"
)

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve_dashboard(storage: BaseStorage, port: int, shown: str) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM, then exit; raises `UsageError` if the port is taken."""
    try:
        server = make_server(HOST, port, read_only(wsgi(storage)), server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"--port must be free, and {port} is not: {error.strerror}; 0 takes any free one") from None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    sys.stdout.write(f"studies of {shown} at http://{HOST}:{server.server_port}/dashboard until Ctrl-C\n")
    sys.stdout.flush()
    server.serve_forever()


def read_only(app: App) -> App:
    """Return the application without requests that change a study, which could not be continued after that."""

    def reads_alone(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [json.dumps({"reason": _REFUSAL}).encode()]

    return reads_alone


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Do not log requests."""


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
